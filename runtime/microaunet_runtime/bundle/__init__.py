"""The bundle, which is copied to the device: a folder, and the manifest that describes each of its files."""

from .bundle import Bundle, Golden

__all__ = ["Bundle", "Golden"]

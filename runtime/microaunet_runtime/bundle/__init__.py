"""The bundle, the one thing that travels: a folder on disk, and the manifest that says what each file is."""

from .bundle import Bundle, Golden

__all__ = ["Bundle", "Golden"]

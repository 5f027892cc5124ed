"""The board of :mod:`boards` as a fixture."""

from boards import board

__all__ = ["board"]

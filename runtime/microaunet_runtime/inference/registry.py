"""The list of backends and the choice among them. Importing this imports none of them."""

from __future__ import annotations

import importlib

from ..bundle import Bundle
from ..errors import InputError
from .backend import BackendClass

# In the order of preference of "auto": name -> module and class.
_CLASSES = {
    "tensorrt": ("tensorrt.backend", "TensorRTBackend"),
    "onnxruntime": ("onnxruntime", "OnnxRuntimeBackend"),
}
NAMES = tuple(_CLASSES)


def load(name: str) -> BackendClass:
    """The class of the backend ``name``.

    Raises:
        InputError: no backend has this name.
    """
    if name not in _CLASSES:
        raise InputError(f"backend {name!r} is not known: use auto or {', '.join(NAMES)}")
    module, kind = _CLASSES[name]
    found: BackendClass = getattr(importlib.import_module(f".{module}", __package__), kind)
    return found


def choose(bundle: Bundle, precision: str | None) -> tuple[str, str]:
    """The first backend that can run ``precision`` of ``bundle`` here, and why that one, in a phrase.

    Raises:
        InputError: none can; the message gives every backend's reason.
    """
    refused: list[str] = []
    for name in NAMES:
        reason = load(name).unavailable(bundle, precision)
        if not reason:
            why = "; ".join(refused) or "the first that can run here"
            return name, f"chosen by auto ({why})"
        refused.append(f"{name}: {reason}")
    raise InputError(
        f"no backend can run {precision or 'any precision'} of {bundle.folder}: {'; '.join(refused)}"
    )

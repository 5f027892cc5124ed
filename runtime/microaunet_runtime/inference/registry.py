"""One module per way to run a graph, and the list of them. Importing this imports none.

A backend class has ``open(bundle, precision, threads)``, which loads it, and
``unavailable(bundle, precision)``, which says in one sentence why it cannot run here, or nothing when it can.
Without a precision each takes its own choice: TensorRT its fastest engine, ONNX Runtime FP32.
"""

from __future__ import annotations

import importlib
from typing import Protocol

from ..bundle import Bundle
from ..errors import InputError
from .session import Backend

# In the order of preference of "auto": name -> module and class.
_CLASSES = {
    "tensorrt": ("tensorrt.backend", "TensorRTBackend"),
    "onnxruntime": ("onnxruntime", "OnnxRuntimeBackend"),
}
NAMES = tuple(_CLASSES)


class BackendClass(Protocol):
    """What a backend's class offers before it is opened."""

    def open(self, bundle: Bundle, precision: str | None, threads: int) -> Backend: ...

    def unavailable(self, bundle: Bundle, precision: str | None) -> str: ...


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
        InputError: none can; the message holds every backend's reason.
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

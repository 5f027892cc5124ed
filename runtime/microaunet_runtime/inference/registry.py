"""The list of backends and the choice among them. Importing this imports none of them."""

from __future__ import annotations

import importlib

from ..bundle import Bundle
from ..errors import InputError
from .backend import BackendClass

REMOTE = "triton"
"""The backend that runs frames on a server; only when it is asked for, with the server's address."""

# In the order of preference of "auto": name -> module and class.
_CLASSES = {
    "tensorrt": ("tensorrt.backend", "TensorRTBackend"),
    "onnxruntime": ("onnxruntime", "OnnxRuntimeBackend"),
}
NAMES = tuple(_CLASSES)
CHOICES = f"auto, {', '.join(NAMES)} or {REMOTE}."
"""The values of ``--backend``, for its help."""


def load(name: str, url: str | None = None) -> BackendClass:
    """The backend ``name``, to be opened.

    Args:
        url: ``HOST:PORT`` of the server, for :data:`REMOTE` alone.

    Raises:
        InputError: no backend has this name; a server without an address, or an address without a server.
    """
    if name == REMOTE:
        if url is None:
            raise InputError("--backend triton needs the server's address: add --url HOST:PORT")
        from .triton_client import TritonServer

        return TritonServer(url)
    if url is not None:
        raise InputError(f"--url {url} is for a server: add --backend {REMOTE}")
    if name not in _CLASSES:
        raise InputError(f"backend {name!r} is not known: use auto, {', '.join(NAMES)} or {REMOTE}")
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

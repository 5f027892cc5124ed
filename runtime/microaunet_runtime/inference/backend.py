"""What a backend offers: one way to run the graph of a bundle."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ..bundle import Bundle


class Backend(Protocol):
    """A graph that is loaded and runs frames. A backend is one module of this package that implements this.

    ``infer`` takes uint8 (1, H, W, 3) RGB; it returns float32 (1, 1, H, W) probability and uint8 (1, 1, H, W)
    mask.
    What it returns may be overwritten by the next call: the session copies what it hands out. ``note`` says
    how it runs, where there is something to say.
    """

    name: str
    precision: str
    note: str

    def infer(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...

    def close(self) -> None: ...


class BackendClass(Protocol):
    """What a backend's class offers before it is opened.

    ``open`` loads the graph of ``precision``. ``unavailable`` says in one sentence why that cannot run here,
    or nothing when it can. Without a precision each takes its own choice: TensorRT its fastest engine, ONNX
    Runtime FP32.
    """

    def open(self, bundle: Bundle, precision: str | None, threads: int) -> Backend: ...

    def unavailable(self, bundle: Bundle, precision: str | None) -> str: ...

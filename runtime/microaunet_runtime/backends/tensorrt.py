"""TensorRT and TensorRT-RTX: an engine of a bundle on the GPU, one stream per session."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ..bundle import Bundle
from ..cuda import Context, CudaError, GraphContext, HostMemory, provider
from ..errors import InputError, MicroAUNetError
from ..tensorrt import engines
from ..tensorrt.versions import TensorRT, installed

WARM_UP = 3  # runs before the capture: the first ones load kernels and allocate, which a graph cannot hold


@dataclass(frozen=True)
class _Tensor:
    """One input or output: host memory as an array, and the address that the engine uses."""

    array: np.ndarray
    host: HostMemory
    address: int


class TensorRTBackend:
    """One engine with its buffers, stream and, where possible, CUDA graph.

    On an integrated GPU the buffers are pinned, mapped memory that CPU and GPU share: nothing is copied. On a
    discrete one each is pinned and copied asynchronously on the session's stream.

    Attributes:
        note: how frames are enqueued and, when there is no CUDA graph, why.
    """

    name = "tensorrt"

    def __init__(
        self, trt: TensorRT, engine: bytes, source: str, precision: str, height: int, width: int
    ) -> None:
        """Load ``engine``, the bytes of the file that ``source`` names in errors.

        Raises:
            InputError: TensorRT cannot load it, or it takes and gives something else than the contract.
            MissingDependencyError: no CUDA binding is installed.
            CudaError: there is no driver or no GPU, or it refused a call.
        """
        self.precision = precision
        self.note = ""
        self._trt = trt
        self._graph: int | None = None
        binding = provider()
        self._integrated = binding.device().integrated
        self._cuda: Context = binding.retain()
        with ExitStack() as opened:
            opened.callback(self._cuda.release)
            with self._cuda.current():
                self._open(engine, source, height, width)
                self._note = self._capture(binding.name)
            self._opened = opened.pop_all()

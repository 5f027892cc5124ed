"""ONNX Runtime on the CPU: the backend that runs everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..bundle import Bundle
from ..errors import InputError, MicroAUNetError
from ..optional import require
from .backend import Outputs
from .watchdog import watched

# This optimiser rounds biases to steps of input scale times weight scale. In an INT8 + FP16 file the steps
# are FP16, which cannot hold them: it changes what the file computes. In an INT8 file they are FP32, and
# INT8's fast kernels need it.
ROUNDS_BIASES = "WeightBiasQuantization"
REMEDY = "install microaunet[cpu], on a Jetson onnxruntime alone (it has wheels for x86-64 and aarch64)"


class OnnxRuntimeBackend:
    """One ONNX file of a bundle on ONNX Runtime's CPU provider.

    Inputs and outputs are bound once to arrays that live as long as the backend, so a frame costs one copy of
    the input and no allocation.
    """

    name = "onnxruntime"

    def __init__(
        self, model: bytes, source: str, precision: str, height: int, width: int, threads: int
    ) -> None:
        """Load ``model``, the bytes of an ONNX file that ``source`` names in errors, and run it once.

        Raises:
            InputError: not a model, one with other inputs or outputs than the bundle's contract, or one that
                fails or never ends.
            MissingDependencyError: ONNX Runtime is not installed.
        """
        ort = require("onnxruntime", REMEDY)
        self.precision = precision
        self.note = ""
        self._source = source
        self._frame = np.zeros((1, height, width, 3), np.uint8)
        self._outputs = Outputs(
            probability=np.zeros((1, 1, height, width), np.float32),
            mask=np.zeros((1, 1, height, width), np.uint8),
            presence=np.zeros(1, np.float32),
        )
        self._session: Any = None
        self._binding: Any = None
        self._options: Any = ort.RunOptions()
        self._options.log_severity_level = 4
        watched(lambda: self._load(ort, model, threads), source, self._stop)

    @classmethod
    def open(cls, bundle: Bundle, precision: str | None, threads: int) -> OnnxRuntimeBackend:
        """Load the bundle's file of ``precision``, or of FP32.

        Raises:
            InputError: the bundle lacks it, it has changed, or ONNX Runtime refuses it.
            MissingDependencyError: ONNX Runtime is not installed.
        """
        graph = bundle.graph(precision or "fp32")
        size = (bundle.manifest.height, bundle.manifest.width)
        backend = cls(graph.content, str(graph.path), graph.entry.precision, *size, threads)
        if graph.unlisted:
            backend.note = f"trusted to run {', '.join(graph.unlisted)}"
        return backend

    @staticmethod
    def unavailable(bundle: Bundle, precision: str | None) -> str:
        """Why this backend cannot run ``precision`` of ``bundle`` here; empty when it can."""
        try:
            require("onnxruntime", REMEDY)
        except InputError as error:
            return str(error)
        wanted = precision or "fp32"
        return "" if wanted in bundle.manifest.artefacts else f"the bundle has no {wanted} file"

    def infer(self, frame: np.ndarray) -> Outputs:
        """The outputs for a frame uint8 (1, H, W, 3) RGB, in arrays that the next call overwrites.

        Raises:
            InputError: the backend was closed.
            MicroAUNetError: ONNX Runtime failed.
        """
        if self._session is None:
            raise InputError("this session was closed: open another one")
        np.copyto(self._frame, frame)
        self._run()
        return self._outputs

    def _load(self, ort: Any, model: bytes, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 4
        try:
            session = ort.InferenceSession(
                model,
                options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=[ROUNDS_BIASES] if self.precision == "int8-fp16" else None,
            )
        except Exception as error:  # ONNX Runtime's own exception types share no base but Exception
            raise InputError(f"ONNX Runtime cannot load {self._source} ({_first_line(error)})") from error
        _check_contract(session, self._source, *self._frame.shape[1:3])
        binding = session.io_binding()
        binding.bind_input("frame", "cpu", 0, np.uint8, self._frame.shape, self._frame.ctypes.data)
        for name, array in self._outputs._asdict().items():
            binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        self._session, self._binding = session, binding
        try:
            self._run()
        except MicroAUNetError as error:
            raise InputError(str(error)) from error

    def _run(self) -> None:
        try:
            self._session.run_with_iobinding(self._binding, self._options)
        except Exception as error:  # as above: no common base
            raise MicroAUNetError(f"ONNX Runtime failed on {self._source} ({_first_line(error)})") from error

    def _stop(self) -> None:
        self._options.terminate = True

    def close(self) -> None:
        """Free the model."""
        self._binding = self._session = None


def _check_contract(session: Any, source: str, height: int, width: int) -> None:
    expected = [
        ("frame", "tensor(uint8)", [1, height, width, 3]),
        ("probability", "tensor(float)", [1, 1, height, width]),
        ("mask", "tensor(uint8)", [1, 1, height, width]),
        ("presence", "tensor(float)", [1]),
    ]
    found = [
        (tensor.name, tensor.type, tensor.shape) for tensor in (*session.get_inputs(), *session.get_outputs())
    ]
    if len(session.get_inputs()) != 1 or sorted(map(str, found)) != sorted(map(str, expected)):
        raise InputError(
            f"{source} takes and gives {_listed(found)}, the bundle's contract is {_listed(expected)}: "
            "export the bundle again"
        )


def _listed(tensors: list[tuple[str, str, list[Any]]]) -> str:
    return ", ".join(f"{name} {kind} {shape}" for name, kind, shape in tensors)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__

"""ONNX Runtime on the CPU: the backend that runs everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..bundle import Bundle
from ..errors import InputError
from ..optional import require

REMEDY = "install microaunet[cpu], on a Jetson onnxruntime alone (it has wheels for x86-64 and aarch64)"


class OnnxRuntimeBackend:
    """One ONNX file of a bundle on ONNX Runtime's CPU provider.

    Inputs and outputs are bound once to arrays that live as long as the backend, so a frame costs one copy of
    the input and no allocation.
    """

    name = "onnxruntime"
    note = ""

    def __init__(
        self, model: bytes, source: str, precision: str, height: int, width: int, threads: int
    ) -> None:
        """Load ``model``, the bytes of an ONNX file that ``source`` names in errors.

        Raises:
            InputError: not a model, or one with other inputs or outputs than the bundle's contract.
            MissingDependencyError: ONNX Runtime is not installed.
        """
        ort = require("onnxruntime", REMEDY)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 4
        try:
            session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own exception types share no base but Exception
            raise InputError(f"ONNX Runtime cannot load {source} ({_first_line(error)})") from error
        _check_contract(session, source, height, width)

        self.precision = precision
        self._frame = np.zeros((1, height, width, 3), np.uint8)
        self._probability = np.zeros((1, 1, height, width), np.float32)
        self._mask = np.zeros((1, 1, height, width), np.uint8)
        binding = session.io_binding()
        binding.bind_input("frame", "cpu", 0, np.uint8, self._frame.shape, self._frame.ctypes.data)
        for name, array in (("probability", self._probability), ("mask", self._mask)):
            binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        self._session: Any = session
        self._binding: Any = binding

    @classmethod
    def open(cls, bundle: Bundle, precision: str | None, threads: int) -> OnnxRuntimeBackend:
        """Load the bundle's file of ``precision``, or of FP32.

        Raises:
            InputError: the bundle lacks it, it has changed, or ONNX Runtime refuses it.
            MissingDependencyError: ONNX Runtime is not installed.
        """
        path, entry = bundle.artefact(precision or "fp32")
        manifest = bundle.manifest
        return cls(path.read_bytes(), str(path), entry.precision, manifest.height, manifest.width, threads)

    @staticmethod
    def unavailable(bundle: Bundle, precision: str | None) -> str:
        """Why this backend cannot run ``precision`` of ``bundle`` here; empty when it can."""
        try:
            require("onnxruntime", REMEDY)
        except InputError as error:
            return str(error)
        wanted = precision or "fp32"
        return "" if wanted in bundle.manifest.artefacts else f"the bundle has no {wanted} file"

    def infer(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Run uint8 (1, H, W, 3) RGB.

        Returns:
            float32 (1, 1, H, W) and uint8 (1, 1, H, W), which the next call overwrites.
        """
        np.copyto(self._frame, frame)
        self._session.run_with_iobinding(self._binding)
        return self._probability, self._mask

    def close(self) -> None:
        """Free the model."""
        self._binding = self._session = None


def _check_contract(session: Any, source: str, height: int, width: int) -> None:
    expected = [
        ("frame", "tensor(uint8)", [1, height, width, 3]),
        ("probability", "tensor(float)", [1, 1, height, width]),
        ("mask", "tensor(uint8)", [1, 1, height, width]),
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

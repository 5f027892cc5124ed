"""The lean runtime: from a bundle to masks on the device. numpy and OpenCV; never torch, never onnx."""

from .bundle import Bundle
from .errors import GateError, InputError, MicroAUNetError, MissingDependencyError
from .inference.session import Prediction, Session, open_session

__all__ = [
    "Bundle",
    "GateError",
    "InputError",
    "MicroAUNetError",
    "MissingDependencyError",
    "Prediction",
    "Session",
    "open_session",
]

"""The lean runtime: from a bundle to masks on the device. numpy and OpenCV; never torch, never onnx."""

import os

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

# Unless this is set before ONNX Runtime is loaded, it writes an identifier into the home folder and sends its
# vendor what it runs. Nothing may leave an endoscopy room.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

"""The lean runtime: from a bundle to masks on the device. numpy and OpenCV; never torch, never onnx.

:func:`stream` has the same name as the package that defines it; ``from microaunet_runtime.stream.queues``
still finds the package's modules.
"""

import os

from .bundle import Bundle
from .errors import GateError, InputError, MicroAUNetError, MissingDependencyError
from .inference.session import Prediction, Session, open_session
from .stream.events import Events
from .stream.iterating import stream
from .stream.result import Result
from .stream.tracking import Region

__all__ = [
    "Bundle",
    "Events",
    "GateError",
    "InputError",
    "MicroAUNetError",
    "MissingDependencyError",
    "Prediction",
    "Region",
    "Result",
    "Session",
    "open_session",
    "stream",
]

# Unless this is set before ONNX Runtime is loaded, it writes an identifier into the home folder and sends its
# vendor what it runs. Nothing may leave an endoscopy room.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

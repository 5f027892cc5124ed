"""The lean runtime: from a bundle to masks on the device. numpy and OpenCV; never torch, never onnx.

:func:`stream` has the name of the room that it comes from; ``from microaunet_runtime.stream.queues``
finds its modules all the same.
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

"""The interface of a backend: one way to run the graph of a bundle."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from ..bundle import Bundle
from ..errors import MicroAUNetError


class Outputs(NamedTuple):
    """The outputs of the graph for one frame.

    Attributes:
        probability: float32 (1, 1, H, W).
        mask: uint8 (1, 1, H, W), 1 where the probability is above the threshold.
        presence: float32 (1,) in 0..1, how sure the network is that the frame shows a polyp at all.
    """

    probability: np.ndarray
    mask: np.ndarray
    presence: np.ndarray

    def copy(self) -> Outputs:
        """A copy with its own arrays."""
        return Outputs(*(array.copy() for array in self))


class Backend(Protocol):
    """A loaded graph that runs frames. Each backend is one module of this package that implements this.

    ``infer`` takes uint8 (1, H, W, 3) RGB. What it returns may be overwritten by the next call: the session
    copies what it hands out. ``note`` says how it runs, where there is something to say.
    """

    name: str
    precision: str
    note: str

    def infer(self, frame: np.ndarray) -> Outputs: ...

    def close(self) -> None: ...


@runtime_checkable
class GpuTimed(Backend, Protocol):
    """A backend that can measure the GPU's own time, without the host's."""

    def gpu_ms(self, frame: np.ndarray) -> float:
        """Milliseconds on the GPU, from the first copy to the last, of one frame run as ``infer`` does."""
        ...

    def gpu_check(self) -> str:
        """A command of the GPU's vendor that checks ``gpu_ms``."""
        ...


class BackendClass(Protocol):
    """The interface of a backend's class, before it is opened.

    ``open`` loads the graph of ``precision``. ``unavailable`` says in one sentence why that cannot run here,
    or nothing when it can. Without a precision each takes its own choice: TensorRT its fastest engine, ONNX
    Runtime FP32.
    """

    def open(self, bundle: Bundle, precision: str | None, threads: int) -> Backend: ...

    def unavailable(self, bundle: Bundle, precision: str | None) -> str: ...


def check_outputs(outputs: Outputs) -> None:
    """Check a backend's output against the contract: a NaN would otherwise pass for "no polyp".

    Args:
        outputs: for any number of frames.

    Raises:
        MicroAUNetError: a value is NaN or outside its range.
    """
    for name, values in (("probabilities", outputs.probability), ("a presence", outputs.presence)):
        low, high = float(values.min()), float(values.max())  # a NaN goes through both
        if not (low >= 0 and high <= 1):
            raise MicroAUNetError(
                f"the network gave {name} from {low:g} to {high:g}, which must lie within 0 to 1: "
                "check the bundle with microaunet-run --self-test, build its engines or export it again"
            )
    if (most := int(outputs.mask.max())) > 1:
        raise MicroAUNetError(
            f"the network gave a mask that holds {most}, which must hold 0 and 1: "
            "check the bundle with microaunet-run --self-test, build its engines or export it again"
        )

"""The GPU that an engine is built for."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError
from ..inference import cuda
from ..inference.tensorrt.versions import TensorRT


@dataclass(frozen=True)
class Target:
    """The GPU to build for: this machine's, or a compute capability by name on any machine."""

    compute_capability: tuple[int, int]
    device: cuda.Device | None

    @property
    def title(self) -> str:
        """The text for people."""
        named = "SM{}{}".format(*self.compute_capability)
        return f"{self.device.title} ({named})" if self.device else f"{named}, not verified: no GPU is used"


def find_target(compute_capability: str | None, trt: TensorRT) -> Target:
    """The GPU to build for.

    Args:
        compute_capability: e.g. ``SM86`` or ``8.6``; None for this machine's GPU.

    Raises:
        InputError: it is not a compute capability, this TensorRT cannot build for it, or there is no GPU.
        MissingDependencyError: no CUDA binding is installed.
    """
    if compute_capability is None:
        try:
            device = cuda.device()
            cuda.provider().context()  # made here, and not by TensorRT's builder, whose waits would sleep
        except cuda.CudaError as error:
            remedy = (
                "name a GPU to build for, e.g. --compute-capability SM86"
                if trt.capabilities.names_target
                else f"{trt.title} builds only on the machine that runs the engine"
            )
            raise InputError(f"no GPU to build for ({error}): {remedy}") from error
        return Target(device.compute_capability, device)
    if not trt.capabilities.names_target:
        raise InputError(
            f"{trt.title} builds only for the GPU it runs on: leave out --compute-capability, "
            "or install microaunet[rtx] in an environment without it"
        )
    name = "SM" + compute_capability.upper().removeprefix("SM").replace(".", "")
    if name not in trt.targets:
        raise InputError(
            f"{trt.title} does not build for {compute_capability!r}: use one of {', '.join(trt.targets)}"
        )
    return Target(trt.targets[name], None)

"""The attempts for a requested precision, in order."""

from __future__ import annotations

from dataclasses import dataclass

from ..bundle import Bundle
from ..errors import InputError
from ..inference.tensorrt.versions import TensorRT

REQUESTS = ("int8", "fp16", "fp32")

# INT8 with FP16 around it first, then INT8 from the older opset, then no INT8 at all.
FALLBACK = {
    "int8": ("int8-fp16", "int8", "fp16", "fp32"),
    "fp16": ("fp16", "fp32"),
    "fp32": ("fp32",),
}


@dataclass(frozen=True)
class Plan:
    """One attempt: the artefact that is built, and how its types are treated.

    Attributes:
        artefact: one of the bundle's precisions.
        strongly_typed, flags: as in :class:`~.compiling.BuildSettings`.
    """

    artefact: str
    strongly_typed: bool
    flags: tuple[str, ...]

    @property
    def title(self) -> str:
        """The text for people, e.g. ``int8, weakly typed with INT8 and FP16``."""
        if self.strongly_typed:
            return f"{self.artefact}, strongly typed"
        return f"{self.artefact}, weakly typed" + (f" with {' and '.join(self.flags)}" if self.flags else "")


def plan(artefact: str, trt: TensorRT) -> Plan:
    """The plan by which ``trt`` builds ``artefact``.

    It is strongly typed where TensorRT supports that, except for the INT8 file of the older opset: its FP32
    scales would keep everything around the convolutions in FP32, so TensorRT may use FP16 there if it has
    precision flags.
    """
    has = trt.capabilities
    flags = {"fp32": (), "fp16": ("FP16",)}.get(artefact, ("INT8", "FP16"))
    if has.strongly_typed and not (artefact == "int8" and has.precision_flags):
        return Plan(artefact, strongly_typed=True, flags=())
    return Plan(artefact, strongly_typed=False, flags=flags)


def plans(request: str, bundle: Bundle, trt: TensorRT) -> list[Plan]:
    """The attempts for ``request``, best first: artefacts that the bundle has and ``trt`` can parse.

    Raises:
        InputError: ``request`` is not known, or the bundle lacks every file of that precision.
    """
    if request not in FALLBACK:
        raise InputError(f"precision {request!r} is not known: use {', '.join(REQUESTS)} or best")
    have = bundle.manifest.artefacts
    if not any(name.startswith(request) for name in have):
        bundle.artefact(request)
    return [
        plan(name, trt)
        for name in FALLBACK[request]
        if name in have and have[name].opset <= trt.capabilities.newest_opset
    ]

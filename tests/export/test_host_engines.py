"""NVIDIA's own parser and compiler accept every graph that is exported, for GPUs that need not be here."""

from __future__ import annotations

from functools import cache

import pytest
from onnx import ModelProto

from microaunet.checkpoint import load, locate, shipped
from microaunet.models import create
from microaunet.models.fuse import deploy
from microaunet_export.graph import export_graph
from microaunet_export.half import to_half
from microaunet_export.quantize import convolutions, quantize
from microaunet_export.range_file import SUFFIX
from microaunet_export.range_file import load as load_ranges
from microaunet_export.rewrite import for_gpu
from microaunet_runtime.building.compiling import BuildSettings, compile_engine
from microaunet_runtime.building.plans import plan
from microaunet_runtime.inference.tensorrt.versions import installed

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed (microaunet[rtx])")
pytest.importorskip("polygraphy", reason="polygraphy is not installed (microaunet[rtx])")

SIZE = 256
FORMS = ("fp32", "fp16", "int8", "int8-fp16")
TARGETS = {"SM86": (8, 6), "SM89": (8, 9), "SM120": (12, 0)}

# The students that ship share one shape; the first stands for all where the tests are to be quick.
SHIPPED = [name for name in shipped() if not name.endswith("lite")]  # teachers do not travel to devices
STUDENT = SHIPPED[0]

slow = pytest.mark.slow
CASES = [
    *((STUDENT, form, "SM86") for form in FORMS),
    *(("edge-presence", form, "SM86") for form in ("fp32", "int8-fp16")),
    *(pytest.param(name, form, "SM86", marks=slow) for name in SHIPPED[1:] for form in FORMS),
    *(
        pytest.param(name, form, "SM86", marks=slow)
        for name in ("paper", "malunet")
        for form in ("fp32", "int8")
    ),
    *(pytest.param(STUDENT, form, target, marks=slow) for target in ("SM89", "SM120") for form in FORMS),
]


@cache
def graph(network: str, opset: int) -> ModelProto:
    """The FP32 graph of shipped weights, or of a network with fresh parameters."""
    model = load(network).model if network in shipped() else create(network).eval()
    return export_graph(deploy(model), SIZE, SIZE, 0.5, opset)


@cache
def gpu_graph(network: str, opset: int) -> ModelProto:
    """What the files for GPUs are made of."""
    return for_gpu(graph(network, opset), opset)


@cache
def exported(network: str, form: str) -> bytes:
    """The ONNX file of one form, as an export writes it."""
    opset = 19 if form == "int8-fp16" else 17
    model = graph(network, opset) if form == "fp32" else gpu_graph(network, opset)
    if form in ("fp16", "int8-fp16"):
        model = to_half(model, opset)
    if form.startswith("int8"):
        model = quantize(model, opset, *calibration(network, model))
    return model.SerializeToString()


def calibration(network: str, model: ModelProto) -> tuple[dict[str, tuple[float, float]], list[str]]:
    """Ranges and the convolutions left in float: the shipped ones, or made up for all convolutions.

    What the compiler accepts does not depend on the value of a scale, but on where the scales are.
    """
    names = [node.name for node in convolutions(model)]
    if network in shipped() and (path := locate(network).with_suffix(SUFFIX)).is_file():
        ranges = load_ranges(path)
        if set(names) == set(ranges.convolutions):
            return ranges.convolutions, list(ranges.in_float)
    return dict.fromkeys(names, (-4.0, 4.0)), []


@pytest.mark.parametrize(("network", "form", "target"), CASES)
def test_the_graph_is_accepted(
    network: str, form: str, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    trt = installed()
    step = plan(form, trt)
    recipe = BuildSettings(step.strongly_typed, step.flags, workspace_mb=1024)
    compiled = compile_engine(exported(network, form), recipe, trt, target=TARGETS[target])
    size_kib = len(compiled.engine) / 1024
    with capsys.disabled():
        print(
            f"\n{trt.title} {target} {network} {form}: {size_kib:.0f} KiB, {compiled.seconds:.1f} s ",
            end="",
        )
    assert 10 < size_kib < 20_000

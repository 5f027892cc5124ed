"""The gates beside speed: equal bundles keep them, a bundle that left its reference fails by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from microaunet_runtime.bundle import Bundle
from microaunet_runtime.bundle.manifest import Manifest
from microaunet_runtime.bundle.tolerance import Tolerance
from microaunet_runtime.inference.agreement import Agreement
from microaunet_runtime.verification.gates import checks
from microaunet_runtime.verification.selftest import self_test


def test_gates_of_equal_bundles_hold(tiny_bundle: Path) -> None:
    bundle = Bundle(tiny_bundle)
    found = checks(bundle, bundle, backend="onnxruntime", precision="fp32", data=None)
    assert [check.name for check in found] == [
        *("mask_agreement", "presence_difference", "bytes", "nodes"),
        "max_abs_difference",
    ]
    assert all(check.passed for check in found)
    assert found[0].candidate == 1.0


def test_a_bundle_that_left_its_reference_fails_by_name(
    tiny_bundle: Path, make_bundle: Callable[..., Path]
) -> None:
    wrong = Bundle(make_bundle("wrong", biases={"fp32": -1.0}))
    found = checks(Bundle(tiny_bundle), wrong, backend="onnxruntime", precision="fp32", data=None)
    failed = [check.name for check in found if not check.passed]
    assert failed == ["mask_agreement", "presence_difference", "max_abs_difference"]


def test_the_manifest_says_how_far_an_artefact_may_be_off(make_bundle: Callable[..., Path]) -> None:
    folder = make_bundle(biases={"fp32": -7.99})  # far beyond 1e-4
    assert self_test(Bundle(folder), ("onnxruntime",))[0].problem.startswith("a probability differs by 0.0")
    wide = Tolerance(0.9, 0.01, max_abs_difference=0.01)
    replace(Manifest.load(folder), tolerances={"fp32": wide}).save(folder)
    assert self_test(Bundle(folder), ("onnxruntime",))[0].passed


def test_a_gpu_may_differ_more_than_the_cpu() -> None:
    tolerance = Tolerance(0.999, 1e-3, max_abs_difference=1e-4, max_abs_difference_gpu=1e-3)
    found = Agreement(5e-4, mean_abs_difference=1e-5, mask_agreement=1.0, presence_difference=5e-4)
    assert not found.shortfall(tolerance, gpu=True)
    assert found.shortfall(tolerance, gpu=False) == "a probability differs by 0.0005, more than 0.0001"


def test_nan_is_within_no_tolerance() -> None:
    nan = float("nan")
    tolerance = Tolerance(0.9, 1.0, max_abs_difference=1.0, dice_image_change=1.0)
    assert len(tolerance.shortfalls(nan, nan, nan, nan)) == 4

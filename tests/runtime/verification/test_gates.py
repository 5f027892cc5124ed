"""The gates beside speed: equal bundles keep them, a bundle that left its reference fails by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from microaunet_runtime.bundle import Bundle
from microaunet_runtime.verification.gates import checks


def test_gates_of_equal_bundles_hold(tiny_bundle: Path) -> None:
    bundle = Bundle(tiny_bundle)
    found = checks(bundle, bundle, backend="onnxruntime", precision="fp32", data=None)
    assert [check.name for check in found] == ["mask_agreement", "bytes", "nodes", "max_abs_difference"]
    assert all(check.passed for check in found)
    assert found[0].candidate == 1.0


def test_a_bundle_that_left_its_reference_fails_by_name(
    tiny_bundle: Path, make_bundle: Callable[..., Path]
) -> None:
    wrong = Bundle(make_bundle("wrong", biases={"fp32": -1.0}))
    found = checks(Bundle(tiny_bundle), wrong, backend="onnxruntime", precision="fp32", data=None)
    assert [check.name for check in found if not check.passed] == ["mask_agreement", "max_abs_difference"]

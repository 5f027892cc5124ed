"""``microaunet-bench`` as a user runs it: figures, pictures, exit codes, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hostile_graphs import failing_graph, give
from typer.testing import CliRunner, Result

from microaunet_runtime.bench.earlier import gate, read
from microaunet_runtime.bench.latency import STAGES, WARM_UP
from microaunet_runtime.commands.bench import app
from microaunet_runtime.errors import InputError


def bench(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def latency_json(tiny_bundle: Path, tmp_path: Path) -> Path:
    path = tmp_path / "latency.json"
    result = bench("latency", "--bundle", tiny_bundle, "--frames", 12, "--json", path)
    assert result.exit_code == 0, result.output
    return path


def test_latency_gives_every_stage_and_names_the_warm_up(latency_json: Path) -> None:
    figures = json.loads(latency_json.read_text())
    assert list(figures["latency_ms"]) == [*STAGES, "overhead"]
    for stage in STAGES:
        row = figures["latency_ms"][stage]
        assert 0 < row["min"] <= row["p50"] <= row["p90"] <= row["p95"] <= row["p99"] <= row["max"]
    assert figures["frames"] == 12
    assert figures["warm_up"]["frames"] == WARM_UP
    assert figures["warm_up"]["excluded"] is True
    assert figures["source"] == {"kind": "synthetic", "height": 1080, "width": 1920}
    assert figures["environment"]["backend"] == "onnxruntime"
    parts = sum(figures["latency_ms"][stage]["min"] for stage in STAGES[:4])
    assert parts <= figures["latency_ms"]["end_to_end"]["max"]


def test_a_sustained_run_draws_the_trace(tiny_bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pictures, path = tmp_path / "pictures", tmp_path / "latency.json"
    asked = ("--frames", 1, "--duration", 0.3, "--out", pictures, "--json", path)
    result = bench("latency", "--bundle", tiny_bundle, *asked)
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in pictures.iterdir()) == ["latency-over-time.png", "latency.png"]
    trace = json.loads(path.read_text())["over_time"]
    starts = [part["start_s"] for part in trace]
    assert starts == sorted(starts)
    assert starts[-1] <= 0.3


def test_figures_far_above_the_earlier_ones_fail(
    tiny_bundle: Path, latency_json: Path, tmp_path: Path
) -> None:
    earlier = json.loads(latency_json.read_text())
    for stage in earlier["latency_ms"].values():
        for name in stage:
            stage[name] /= 1000
    faster = tmp_path / "faster.json"
    faster.write_text(json.dumps(earlier))
    result = bench("latency", "--bundle", tiny_bundle, "--frames", 5, "--against", faster)
    assert result.exit_code == 3
    assert "end_to_end.p50" in result.output


@pytest.mark.parametrize("factor", [1.05, 1.2])
def test_the_absolute_gate_allows_ten_percent(latency_json: Path, factor: float) -> None:
    earlier: dict[str, Any] = json.loads(latency_json.read_text())
    now = json.loads(latency_json.read_text())
    now["latency_ms"]["inference"]["p50"] *= factor
    assert gate(now, earlier, 1.10)["passed"] is (factor < 1.10)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("device", "NVIDIA Jetson Orin Nano"),
        ("gpu", "NVIDIA RTX A2000, 580.65"),
        ("power_mode", "15W"),
        ("backend", "tensorrt"),
        ("threads", 4),
    ],
)
def test_figures_of_other_conditions_are_not_comparable(latency_json: Path, key: str, value: object) -> None:
    earlier = json.loads(latency_json.read_text())
    now = json.loads(latency_json.read_text())
    now["environment"][key] = value
    with pytest.raises(InputError, match="not comparable"):
        gate(now, earlier, 1.10)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0, -1, None, "fast", 10**400])
def test_an_earlier_figure_that_is_no_time_passes_no_gate(latency_json: Path, value: object) -> None:
    figures = json.loads(latency_json.read_text())
    figures["latency_ms"]["inference"]["p50"] = value
    latency_json.write_text(json.dumps(figures))
    with pytest.raises(InputError, match=r"latency\.json"):
        read(latency_json)


def test_a_time_of_now_that_is_no_number_passes_no_gate(latency_json: Path) -> None:
    earlier: dict[str, Any] = json.loads(latency_json.read_text())
    now = json.loads(latency_json.read_text())
    now["latency_ms"]["inference"]["p50"] = float("nan")
    assert gate(now, earlier, 1.10)["passed"] is False


@pytest.mark.parametrize("command", ["latency", "regression"])
def test_a_limit_that_nothing_exceeds_is_refused(command: str, tiny_bundle: Path) -> None:
    more = ("--baseline", tiny_bundle) if command == "regression" else ()
    result = bench(command, "--bundle", tiny_bundle, *more, "--allowed", "nan")
    assert result.exit_code == 2


@pytest.mark.parametrize("command", ["latency", "regression"])
def test_a_graph_that_fails_on_a_frame_is_one_sentence(command: str, tiny_bundle: Path) -> None:
    give(tiny_bundle, failing_graph)
    more = ("--baseline", tiny_bundle) if command == "regression" else ()
    result = bench(command, "--bundle", tiny_bundle, *more)
    assert result.exit_code == 1
    assert "ONNX Runtime failed on" in result.output
    assert isinstance(result.exception, SystemExit)


def test_regression_of_a_bundle_against_itself_passes(tiny_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "regression.json"
    result = bench(
        "regression", "--bundle", tiny_bundle, "--baseline", tiny_bundle, "--allowed", 3, "--json", path
    )
    assert result.exit_code == 0, result.output
    figures = json.loads(path.read_text())
    assert figures["low"] <= figures["ratio"] <= figures["high"]
    assert figures["failed"] == []
    assert {"verdict", "allowed", "blocks", "checks", "environment", "passed", "decided"} <= set(figures)


def test_regression_names_the_gate_that_failed(
    tiny_bundle: Path, make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    wrong = make_bundle("wrong", biases={"fp32": -1.0})
    path = tmp_path / "regression.json"
    result = bench("regression", "--bundle", wrong, "--baseline", tiny_bundle, "--allowed", 3, "--json", path)
    assert result.exit_code == 3
    assert "mask_agreement" in result.output
    assert json.loads(path.read_text())["failed"] == [
        "mask_agreement",
        "presence_difference",
        "max_abs_difference",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--precision", "int8"), "has no int8 file"),
        (("--backend", "abacus"), "abacus"),
        (("--against", "nothing.json"), "does not exist"),
        (("--data", "nowhere"), "nowhere"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    tiny_bundle: Path, arguments: tuple[str, str], message: str
) -> None:
    result = bench("latency", "--bundle", tiny_bundle, *arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output

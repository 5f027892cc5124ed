"""The top of ``report.html``: accuracy, what INT8 costs, speed here, the operating curve, latency."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_network import LENIENT, write_weights
from typer.testing import CliRunner

from benchmarks.shipping.cards import operating_curve
from microaunet_export import accuracy
from microaunet_export.commands.export import app
from microaunet_export.report_charts import latency_chart
from microaunet_export.verify import TIMED_FRAMES
from microaunet_runtime.errors import InputError
from microaunet_runtime.evaluation.operating_point import SeenFrame, presence_summary
from microaunet_runtime.images import synthetic, write_image

TOP = ("Accuracy", "What INT8 costs", "Speed here", "Operating curve", "Distribution of latency")
REST = ("Latency on this machine", "The graph", "Provenance")
SEEN = [SeenFrame(k / 10, 0.2) for k in range(10)] + [SeenFrame(0.95, 0.1, "large", True, 0.8)]


def figures() -> dict[str, Any]:
    """The figures of a card as ``benchmarks.shipping.cards`` writes them."""
    found = presence_summary(SEEN, 0.9)
    entry = {key: found[key] for key in ("polyps", "small_polyps", "auc", "curve")}
    measured = {
        "operating_point": 0.9,
        "polyp_free": {"all": found["polyp_free"]},
        "sets": {"some_test": entry},
    }
    return {
        "some_test": {"images": 321, "dice_image": {"mean": 0.7654, "low": 0.7, "high": 0.8}},
        accuracy.OPERATING_CURVE: operating_curve(measured),
        "command": "python -m benchmarks.shipping.cards",
    }


def write_card(weights: Path, figures: object) -> None:
    path = weights.with_suffix(".json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "figures": figures}))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of weights with a full card, on data with and without polyps."""
    folder = tmp_path_factory.mktemp("report")
    weights = write_weights(folder / "small.safetensors")
    write_card(weights, figures())
    synthetic.write_set(folder / "data", 6, seed=40, height=80, width=100)
    for number in range(3):
        image, _ = synthetic.frame(70 + number, 80, 100)
        write_image(folder / f"data/images/free-{number}.png", image)
        write_image(folder / f"data/masks/free-{number}.png", np.zeros((80, 100), np.uint8))
    arguments = ("--weights", weights, "--data", folder / "data", *LENIENT, "--out", folder / "bundle")
    result = CliRunner().invoke(app, [*map(str, arguments), "--report", str(folder / "real")])
    assert result.exit_code == 0, result.output
    return folder / "real"


def text(folder: Path) -> str:
    return (folder / "report.html").read_text()


def places(html: str, titles: tuple[str, ...]) -> list[int]:
    return [html.index(f"<h2>{title}</h2>") for title in titles]


def test_what_matters_comes_first_and_in_order(measured: Path, bundle_folder: Path) -> None:
    for html in (text(measured), text(bundle_folder)):
        found = places(html, (*TOP, *REST))
        assert found == sorted(found)
        assert found[len(TOP) - 1] < html.index("Agreement on") < found[len(TOP)]


def test_the_accuracy_of_the_card_and_of_the_data_stands_at_the_top(measured: Path) -> None:
    html = text(measured)
    top = html[: html.index("<h2>What INT8 costs</h2>")]
    assert "<td>some test</td><td>321</td><td>0.765" in top
    assert "90.0 %" in top  # of the card's ten polyp-free frames nothing is shown on nine
    data = json.loads((measured / "report.json").read_text())["artefacts"]["fp16"]["data"]
    assert f"{data['dice_image']['mean']:.3f}" in top
    assert data["presence"]["polyp_free"]["frames"] == 3
    assert data["presence"]["polyps"]["frames"] == data["presence_reference"]["polyps"]["frames"] == 6
    assert "polyp found, of 6 frames" in top
    assert "nothing shown, of 3 frames without a polyp" in top


def test_the_curves_are_of_the_card_and_of_the_data(measured: Path) -> None:
    html = text(measured)
    assert html.count("<svg") == html.count("</svg>") == 3  # two curves and the latency
    for label in ("some test, AUC", "FP16, AUC", "specificity: polyp-free frames", "milliseconds of one"):
        assert label in html
    assert "no operating curve" not in html
    assert "http" not in html
    assert "<?xml" not in html


def test_without_figures_the_report_says_how_to_get_them(bundle_folder: Path) -> None:
    html = text(bundle_folder)
    assert "No figures of accuracy travel with these weights: export with --data" in html
    assert "holds no operating curve. Export with --data" in html
    assert html.count("<svg") == 1


def test_int8_is_set_beside_its_gates(bundle_folder: Path) -> None:
    html = text(bundle_folder)
    cost = html[html.index("<h2>What INT8 costs</h2>") : html.index("<h2>Speed here</h2>")]
    golden = json.loads((bundle_folder / "report.json").read_text())["artefacts"]["int8"]["golden"]
    assert f"<td>{golden['mask_agreement']['mean']:.4f}</td>" in cost
    assert "≥ 0.5" in cost  # as this export allowed it
    assert "The change of Dice is not measured" in cost


def test_without_int8_the_report_says_so(measured: Path) -> None:
    assert "There is no INT8 file: export with --int8." in text(measured)


def test_the_fastest_file_is_named_with_its_times(bundle_folder: Path) -> None:
    html = text(bundle_folder)
    artefacts = json.loads((bundle_folder / "report.json").read_text())["artefacts"]
    fastest = min((entry["latency_ms"]["p50"], entry["latency_ms"]["p99"]) for entry in artefacts.values())
    assert f"CPU: {fastest[0]:.1f} ms at p50, {fastest[1]:.1f} ms at p99." in html
    assert f"{TIMED_FRAMES} inferences of each file" in html


@pytest.mark.parametrize(
    "broken",
    [
        {"some_test": {"dice_image": {"mean": "good"}}},
        {"some_test": {"images": "many", "dice_image": {"mean": 0.7, "low": 0.6, "high": 0.8}}},
        {accuracy.OPERATING_CURVE: {"operating_point": 0.9}},
        {accuracy.OPERATING_CURVE: {**figures()[accuracy.OPERATING_CURVE], "sets": {"a": {"auc": None}}}},
    ],
)
def test_a_card_with_broken_figures_is_refused_before_anything_is_written(
    broken: dict[str, Any], tmp_path: Path
) -> None:
    weights = write_weights(tmp_path / "small.safetensors")
    write_card(weights, broken)
    result = CliRunner().invoke(app, ["--weights", str(weights), "--out", str(tmp_path / "bundle")])
    assert (result.exit_code, "a figure is missing or not a number" in " ".join(result.output.split())) == (
        2,
        True,
    )
    assert not (tmp_path / "bundle").exists()


def test_a_card_without_figures_states_nothing() -> None:
    assert accuracy.of_card({}, Path("a.json")) == {"sets": {}, "operating_curve": None}
    untried = {"figures": {"validation": {"dice_image": None, "epoch": 3}}}
    assert accuracy.of_card(untried, Path("a.json"))["sets"] == {}
    with pytest.raises(InputError, match=r"a\.json"):
        accuracy.of_card({"figures": {"x": {"dice_image": 0.5}}}, Path("a.json"))


def test_a_hiccup_is_counted_and_does_not_flatten_the_picture() -> None:
    times = [*np.linspace(4, 6, 198), 900.0, 901.0]
    chart = latency_chart({"FP32": times})
    assert "p50 5.0 ms" in chart
    assert "p99 6.0 ms" in chart
    assert "2 more, up to 901 ms" in chart


def test_a_title_is_text_and_not_markup() -> None:
    chart = latency_chart({"<script>$x": [1.0, 2.0]})
    assert "<script>" not in chart
    assert "&lt;script&gt;$x" in chart

"""The report of an export: ``report.html`` and ``report.json``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from microaunet_runtime.bundle import Bundle
from microaunet_runtime.console import BANNER
from microaunet_runtime.device.environment import environment
from microaunet_runtime.evaluation.dataset import load_pair
from microaunet_runtime.evaluation.metrics import mask_agreement
from microaunet_runtime.files import write_bytes, write_json
from microaunet_runtime.images.resize import resize_frame, resize_mask
from microaunet_runtime.inference.session import open_session
from microaunet_runtime.percentiles import summary

from . import report_charts, report_pictures
from .accuracy import OPERATING_CURVE
from .exporting import ExportOutcome
from .report_charts import OperatingCurve
from .verify import TIMED_FRAMES, Gates

REAL_FRAMES = 12

TITLES = {"fp32": "FP32", "fp16": "FP16", "int8": "INT8", "int8-fp16": "INT8 + FP16"}


def content(outcome: ExportOutcome, gates: Gates, threads: int) -> dict[str, Any]:
    """All figures of the report, ready for JSON."""
    manifest = outcome.manifest
    return {
        "name": manifest.name,
        "height": manifest.height,
        "width": manifest.width,
        "threshold": manifest.threshold,
        "presence": manifest.presence,
        "stabilised_presence": manifest.stabilised_presence,
        "passed": not outcome.failures,
        "failures": list(outcome.failures),
        "gates": asdict(gates),
        "card": outcome.card,
        "model": manifest.model,
        "artefacts": {
            name: {
                **asdict(entry),
                **manifest.verification[name],
                "latency_ms": {
                    key: round(value, 4) for key, value in summary(outcome.times_ms[name]).items()
                },
            }
            for name, entry in manifest.artefacts.items()
        },
        "golden": {
            "frames": len(outcome.golden.frames),
            "found": outcome.golden.found,
            "seeds": list(outcome.golden.seeds),
        },
        "batch": asdict(manifest.batch) if manifest.batch else None,
        "calibration": manifest.calibration,
        "versions": manifest.versions,
        "environment": environment(backend="onnxruntime", threads=threads),
    }


def write_report(folder: Path, facts: dict[str, Any], outcome: ExportOutcome) -> None:
    """Write the report of synthetic frames into the bundle ``folder``."""
    golden = outcome.golden
    samples = [
        _Shown(f"synthetic, seed {seed}", frame, truth, probability[0])
        for seed, frame, truth, probability in zip(
            golden.seeds, golden.frames, golden.truth, golden.probability, strict=True
        )
    ]
    _write(
        folder,
        facts,
        outcome,
        Bundle(folder, trust=True),
        samples,
        "Golden frames: synthetic, with exact ground truth",
    )


def write_real_report(folder: Path, facts: dict[str, Any], outcome: ExportOutcome, bundle: Bundle) -> None:
    """Write the same report with pictures of the data: the worst images, and others evenly spaced."""
    height, width = bundle.manifest.height, bundle.manifest.width
    figures = bundle.manifest.verification[_shown_precision(bundle)]["data"]
    worst = [figures[name]["worst_frame"] for name in ("mask_agreement", "dice_image_change")]
    spread = np.linspace(0, len(outcome.pairs) - 1, min(REAL_FRAMES, len(outcome.pairs)))
    names = dict.fromkeys([*worst, *(outcome.pairs[round(index)].stem for index in spread)])
    pairs = {pair.stem: pair for pair in outcome.pairs}
    samples = []
    for name in list(names)[:REAL_FRAMES]:
        image, truth = load_pair(pairs[name])
        frame = resize_frame(image, height, width)
        title = f"{name} (worst)" if name in worst else name
        samples.append(_Shown(title, frame, resize_mask(truth, height, width), outcome.reference(frame)[0]))
    _write(
        folder,
        facts,
        outcome,
        bundle,
        samples,
        "Frames of the data: the worst ones first, then evenly spaced",
    )


class _Shown:
    """A frame to draw, with its ground truth (H, W) and the reference's probability (H, W)."""

    def __init__(self, title: str, frame: np.ndarray, truth: np.ndarray, reference: np.ndarray) -> None:
        self.title, self.frame, self.truth, self.reference = title, frame, truth, reference


def _shown_precision(bundle: Bundle) -> str:
    return "int8" if "int8" in bundle.manifest.artefacts else "fp16"


def _write(
    folder: Path,
    facts: dict[str, Any],
    outcome: ExportOutcome,
    bundle: Bundle,
    samples: Sequence[_Shown],
    heading: str,
) -> None:
    precision, threshold = _shown_precision(bundle), bundle.manifest.threshold
    rows = []
    with open_session(bundle, backend="onnxruntime", precision=precision) as session:
        for shown in samples:
            outputs = session.backend.infer(shown.frame[None])
            probability, mask = outputs.probability[0, 0], outputs.mask[0, 0]
            agreement = mask_agreement(mask, shown.reference > threshold)
            rows.append(
                report_pictures.row(
                    shown.title, shown.frame, shown.truth, shown.reference, probability, threshold, agreement
                )
            )
    loader = jinja2.PackageLoader("microaunet_export", "templates")
    engine = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    html = engine.get_template("report.html.j2").render(
        facts=facts,
        rows=rows,
        heading=heading,
        titles=TITLES,
        shown=TITLES[precision],
        banner=BANNER,
        charts=_operating_charts(facts),
        latency_chart=report_charts.latency_chart(
            {TITLES[name]: times for name, times in outcome.times_ms.items()}
        ),
        timed=TIMED_FRAMES,
        slowest=max(entry["latency_ms"]["p99"] for entry in facts["artefacts"].values()),
    )
    write_bytes(folder / "report.html", html.encode())
    write_json(folder / "report.json", facts)


def _operating_charts(facts: dict[str, Any]) -> dict[str, str]:
    """The operating curve as SVG by what it was measured on: as the card states it, and on the data."""
    charts = {}
    if card := facts["card"][OPERATING_CURVE]:
        charts["test frames, by the card of the weights"] = report_charts.operating_chart(
            [
                OperatingCurve.of(name.replace("_", " "), figures, card["polyp_free"])
                for name, figures in card["sets"].items()
            ]
        )
    measured = {
        TITLES[name]: entry["data"]["presence"]
        for name, entry in facts["artefacts"].items()
        if "data" in entry
    }
    if curves := [
        OperatingCurve.of(title, found, found["polyp_free"])
        for title, found in measured.items()
        if "curve" in found
    ]:
        charts["the data, measured here"] = report_charts.operating_chart(curves)
    return charts

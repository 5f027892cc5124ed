"""What each part of the student, of the distillation and of its teacher is worth.

    python -m benchmarks.ablation design --data DATA
    python -m benchmarks.ablation distillation --data DATA --teacher kvasir-lite --teacher malunet.safetensors
    python -m benchmarks.ablation teachers --data DATA --teacher kvasir-lite --teacher malunet.safetensors

Every row is trained with the shipped Kvasir-SEG recipe on its labelled frames, with the same seeds, and
scored on the validation frames: ``distillation`` for half of the epochs that ship, at smaller frames, the
others shortened. A finished run is not trained again and an interrupted one continues, from ``--runs``. The
figures and their table are in benchmarks/results/ablation-<study>.{json,md}.
"""

from __future__ import annotations

import fcntl
import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Annotated, Any

import typer

from microaunet import checkpoint
from microaunet.data import lists
from microaunet.models import create, parameters
from microaunet.models.complexity import count_macs
from microaunet.training import recipe as recipes
from microaunet.training import teachers as teaching
from microaunet.training.frames import find_frames
from microaunet.training.run import TrainingRequest
from microaunet.training.run import run as train
from microaunet.training.validation import Validation
from microaunet_runtime import console, files
from microaunet_runtime.console import DebugOption
from microaunet_runtime.errors import InputError
from microaunet_runtime.percentiles import summary

from .measuring.graphs import as_shipped
from .measuring.results import RESULTS
from .measuring.timing import frames, side_by_side
from .networks import variants

SIZE = 256
RECIPE = "kvasir"
LABELLED = ("architecture=edge", "distillation=null", "unlabelled=[]")
SHORT = ("epochs=16", "resolutions=[[0.0, 128], [0.75, 224]]", *LABELLED)
HALF = ("epochs=90", "size=160", "stored_size=192", "resolutions=[[0.0, 128], [0.5, 160]]", *LABELLED)
THREADS = 1  # two studies at a time use two cores better than one on both
LATENCY_ROUNDS = 8

Changes = tuple[str, ...]
TeacherOption = Annotated[list[str], typer.Option("--teacher", help="Weights by name or file; repeatable.")]
DataOption = Annotated[Path, typer.Option(help="Holds kvasir-seg/.")]
RunsOption = Annotated[Path, typer.Option(help="Folder of the runs.")]
SeedsOption = Annotated[int, typer.Option(min=1, help="Seeds per row.")]

DESIGN: dict[str, Changes] = {
    "edge": (),
    "without attention": ("architecture=edge-ungated",),
    "plain convolutions, as many parameters": ("architecture=edge-plain",),
    "without dilation": ("architecture=edge-undilated",),
    "GroupNorm": ("architecture=edge-group-norm",),
    "GELU": ("architecture=edge-gelu",),
    "one channel, resized bilinearly": ("architecture=edge-bilinear-head",),
    "without boundary weights": ("loss.boundary=0",),
    "without moving average": ("ema_decay=0",),
    "stem without stride": ("architecture=edge-full-size-stem",),
    "paper": ("architecture=paper",),
}


@dataclass(frozen=True)
class Study:
    """The rows to train: what each one changes, and the note for the whole study."""

    name: str
    rows: dict[str, Changes]
    note: str
    schedule: Changes = SHORT


def distil(*teachers: str, flips: bool = False) -> str:
    """The setting that distils from ``teachers`` in both stages."""
    group = f"teachers: [{', '.join(teachers)}], flips: {str(flips).lower()}, hand_over: [0.4, 0.6]"
    return f"distillation={{{group}}}"


def as_shipped_from(teacher: str) -> str:
    """The setting that distils as the shipped recipe does, from ``teacher``."""
    return f"distillation={{teachers: [{teacher}], cached: true, flips: true, features: 0.0}}"


def design(
    data: DataOption,
    runs: RunsOption = Path("runs/ablation"),
    seeds: SeedsOption = 2,
    debug: DebugOption = False,
) -> None:
    """What each design choice of the student bought: accuracy, parameters, MACs, latency of the graph.

    Example: python -m benchmarks.ablation design --data DATA
    """
    _study(
        Study(
            "design",
            DESIGN,
            "No distillation; far fewer epochs than what ships. Each row undoes one choice of the student's; "
            "`paper` is the published network.",
        ),
        data,
        runs,
        seeds,
    )


def distillation(
    data: DataOption,
    teacher: TeacherOption,
    runs: RunsOption = Path("runs/ablation"),
    seeds: SeedsOption = 2,
    debug: DebugOption = False,
) -> None:
    """The paper's ablation, by the first teacher, and the whole of it by each other one.

    Example: python -m benchmarks.ablation distillation --data DATA --teacher kvasir-lite --teacher FILE
    """
    rows: dict[str, Changes] = {"without both": ()}
    for number, name in enumerate(teacher):
        full = as_shipped_from(name)
        rows["full" if number == 0 else f"full, taught by {_label(name)}"] = (full,)
        if number == 0:
            rows["without imitation"] = (full, "distillation.imitation=0")
            rows["without preference"] = (full, "distillation.preference=0")
    note = f"Teacher, where none is named: {_label(teacher[0])}, asked once per frame, as the recipe does."
    _study(Study("distillation", rows, note, HALF), data, runs, seeds)


def teachers(
    data: DataOption,
    teacher: TeacherOption,
    runs: RunsOption = Path("runs/ablation"),
    seeds: SeedsOption = 2,
    together: Annotated[
        bool, typer.Option("--together", help="A row for all of them, mirrored too.")
    ] = False,
    debug: DebugOption = False,
) -> None:
    """Which teacher helps: none, each alone, or all together.

    Example: python -m benchmarks.ablation teachers --data DATA --teacher kvasir-lite --teacher kvasir
    """
    rows: dict[str, Changes] = {"none": ()}
    notes = []
    if len({_label(name) for name in teacher}) < len(teacher):
        raise InputError("two teachers have the same name: rename one of the files")
    for name in teacher:
        rows[_label(name)] = (distil(name),)
        notes.append(f"{_label(name)} {_measured(distil(name), data):.4f}")
    if together:
        ensemble = distil(*teacher, flips=True)
        rows["all, mirrored too"] = (ensemble,)
        notes.append(f"all, mirrored too {_measured(ensemble, data):.4f}")
    _study(
        Study(
            "teachers",
            rows,
            f"The teachers' own validation dice_image: {', '.join(notes)}. Far fewer epochs than what ships.",
        ),
        data,
        runs,
        seeds,
    )


def _study(study: Study, data: Path, runs: Path, seeds: int) -> None:
    variants.register()
    log: list[dict[str, Any]] = []
    for seed in range(seeds):
        for row, changes in study.rows.items():
            settings = [*study.schedule, f"seed={seed}", *changes]
            dice = _trained(data, runs, settings)
            console.out.print(f"{row}, seed {seed}: dice_image {dice:.4f}", markup=False)
            log.append({"row": row, "seed": seed, "settings": settings, "dice_image": dice})
            _write(study, log, {})
    _write(study, log, _latencies(study))


def _trained(data: Path, runs: Path, settings: list[str]) -> float:
    """The validation dice_image of one run, trained now unless it exists."""
    out = runs / _key(data, settings)
    card = out / "weights.json"
    out.mkdir(parents=True, exist_ok=True)
    with (out / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another study may be at the same row
        if not card.is_file():
            resume = (out / "last.ckpt").is_file()
            train(
                TrainingRequest(RECIPE, settings, data, out, resume, "auto", 1, THREADS, None),
                lambda row: None,
            )
    return float(files.read_json(card)["figures"]["validation"]["dice_image"]["mean"])


def _key(data: Path, settings: list[str]) -> str:
    """A name that changes with anything that a run depends on: recipe, frames, teachers' weights."""
    recipe = recipes.load(RECIPE, settings)
    names = recipe.distillation.teachers if recipe.distillation else ()
    facts = [recipes.dump(recipe), find_frames(recipe, data)[1].fingerprint]
    facts += [files.sha256(checkpoint.locate(name)) for name in names]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _measured(distillation: str, data: Path) -> float:
    """The validation dice_image of teachers."""
    recipe = recipes.load(RECIPE, [*SHORT, distillation])
    assert recipe.distillation is not None
    frames, _ = lists.resolve(recipe.validation, data)
    return teaching.measure(
        teaching.load(recipe.distillation, recipe, frames), Validation(frames, recipe.size)
    )


def _label(weights: str) -> str:
    return Path(weights).stem if Path(weights).stem != "weights" else Path(weights).parent.name


def _architecture(changes: Changes) -> str:
    return recipes.load(RECIPE, [*SHORT, *changes]).architecture


def _schedule(study: Study) -> list[str]:
    return [setting for setting in study.schedule if setting not in LABELLED]


def _latencies(study: Study) -> dict[str, dict[str, float]]:
    """Milliseconds of each architecture's deploy graph, all in turns on one thread."""
    names = sorted({_architecture(changes) for changes in study.rows.values()})
    graphs = [as_shipped(name, create(name).eval()) for name in names]
    with console.progress() as bar:
        task = bar.add_task("timing in turns", total=LATENCY_ROUNDS)
        times = side_by_side(graphs, frames()[0], LATENCY_ROUNDS, lambda: bar.advance(task))
    return {name: summary(times[name].wall.ravel()) for name in names}


def _write(study: Study, log: list[dict[str, Any]], latency_ms: dict[str, Any]) -> None:
    path = RESULTS / f"ablation-{study.name}.json"
    files.write_json(path, {"note": study.note, "recipe": RECIPE, "runs": log, "latency_ms": latency_ms})
    files.write_bytes(path.with_suffix(".md"), table(study, log, latency_ms).encode())


def table(study: Study, log: list[dict[str, Any]], latency_ms: dict[str, Any]) -> str:
    """Markdown: mean and spread over the seeds, beside the first row, which is the control."""
    count = len(lists.read_list("kvasir-validation"))
    lines = [
        f"{study.note} The `{RECIPE}` recipe with {', '.join(_schedule(study))}; Kvasir-SEG's frames only.",
        f"dice_image of the {count} validation frames, cut from the 800; p50 of the deploy graph,",
        f"ONNX Runtime, one thread. Made by `python -m benchmarks.ablation {study.name}`.",
        "",
        "| | seeds | dice_image | spread | against the first | parameters | M MACs | p50 ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    control = None
    for row, changes in study.rows.items():
        dice = [entry["dice_image"] for entry in log if entry["row"] == row]
        if not dice:
            continue
        control = mean(dice) if control is None else control
        name = _architecture(changes)
        model = create(name)
        latency = f"{latency_ms[name]['p50']:.2f}" if name in latency_ms else "-"
        lines.append(
            f"| {row} | {len(dice)} | {mean(dice):.4f} | {f'{stdev(dice):.4f}' if len(dice) > 1 else '-'} "
            f"| {mean(dice) - control:+.4f} | {parameters(model):,} "
            f"| {count_macs(model, SIZE, SIZE) / 1e6:.1f} | {latency} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Entry point."""
    warnings.filterwarnings("ignore", message=".*smallest subnormal", module="numpy")
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    for command in (design, distillation, teachers):
        app.command()(console.reports_errors(command))
    app()


if __name__ == "__main__":
    main()

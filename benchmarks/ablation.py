"""``python -m benchmarks.ablation``: what each part of the student and of the distillation is worth.

    python -m benchmarks.ablation --data DATA --runs runs/ablation

Every row is trained by ``microaunet-train`` with the shipped Kvasir-SEG recipe, shortened, on the same
frames with the same seeds, and scored on the validation frames. Runs that are in the log are not trained
again; an interrupted one continues. The log and the table stand in benchmarks/results/ablation.{json,md}.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Annotated, Any

import typer

from microaunet.models import create, parameters
from microaunet.models.complexity import count_macs
from microaunet_runtime import console, files
from microaunet_runtime.console import DebugOption
from microaunet_runtime.errors import InputError

RESULTS = Path(__file__).parent / "results"
SIZE = 256
SHORT = ("epochs=24", "resolutions=[[0.0, 160], [0.8, 256]]")

# What a row changes, and by which settings. {teacher} is named on the command line.
DISTIL = "distillation={{teachers: [{teacher}], hand_over: [0.4, 0.6]}}"
ROWS: dict[str, tuple[str, ...]] = {
    "no distillation": (),
    "full": (DISTIL,),
    "without imitation": (DISTIL, "distillation.imitation=0", "distillation.features=0"),
    "without preference": (DISTIL, "distillation.preference=0"),
    "full, plain convolutions": (DISTIL, "architecture=edge-plain"),
    "full, without the bridge": (DISTIL, "architecture=edge-ungated"),
}


def run(
    data: Annotated[Path, typer.Option(help="Holds kvasir-seg/.")],
    runs: Annotated[Path, typer.Option(help="Folder of the runs.")],
    teacher: Annotated[str, typer.Option(help="Shipped weights or a file.")] = "kvasir",
    seeds: Annotated[int, typer.Option(min=1, help="Seeds per row.")] = 2,
    debug: DebugOption = False,
) -> None:
    """Train every row with every seed, and write the table.

    Example: python -m benchmarks.ablation --data DATA --runs runs/ablation
    """
    log_path = RESULTS / "ablation.json"
    log = files.read_json(log_path) if log_path.is_file() else {"runs": []}
    done = {(entry["row"], entry["seed"], entry["teacher"]) for entry in log["runs"]}
    for seed in range(seeds):
        for row, changes in ROWS.items():
            if (row, seed, teacher) in done:
                continue
            settings = [*SHORT, f"seed={seed}", *(change.format(teacher=teacher) for change in changes)]
            entry = _train(data, runs / f"{row.replace(', ', '-').replace(' ', '-')}-{seed}", settings)
            log["runs"].append({"row": row, "seed": seed, "teacher": teacher, "settings": settings, **entry})
            files.write_json(log_path, log)
            console.out.print(f"{row}, seed {seed}: dice_image {entry['dice_image']:.4f}", markup=False)
    files.write_bytes(RESULTS / "ablation.md", _table(log["runs"], teacher).encode())


def _train(data: Path, out: Path, settings: list[str]) -> dict[str, Any]:
    result = out / "result.json"
    command = [sys.executable, "-m", "microaunet.commands.train", "--recipe", "kvasir", "--data", str(data)]
    command += ["--out", str(out), "--json", str(result)]
    command += [part for setting in settings for part in ("--set", setting)]
    if (out / "last.ckpt").is_file():
        command.append("--resume")
    if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
        raise InputError(f"training {out.name} failed: run it again with microaunet-train to see why")
    card = files.read_json(out / "weights.json")
    model = create(card["architecture"])
    return {
        "dice_image": card["figures"]["validation"]["dice_image"]["mean"],
        "architecture": card["architecture"],
        "parameters": parameters(model),
        "macs": count_macs(model, SIZE, SIZE),
    }


def _table(log: list[dict[str, Any]], teacher: str) -> str:
    """Markdown: mean and spread over the seeds, beside the control without distillation."""
    lines = [
        f"Teacher: {teacher}; {SHORT[0].replace('=', ': ')}, fewer than the shipped recipe's. Scored on the",
        "validation frames, 80 images cut from the 800. Made by `python -m benchmarks.ablation`.",
        "",
        "| | seeds | validation dice_image | spread | parameters | MACs |",
        "|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        entries = [entry for entry in log if entry["row"] == row and entry["teacher"] == teacher]
        if not entries:
            continue
        dice = [entry["dice_image"] for entry in entries]
        spread = f"{stdev(dice):.4f}" if len(dice) > 1 else "-"
        first = entries[0]
        lines.append(
            f"| {row} | {len(dice)} | {mean(dice):.4f} | {spread} | {first['parameters']:,} "
            f"| {first['macs'] / 1e6:.1f} M |"
        )
    return "\n".join(lines) + "\n"


app = console.command_app(run)

if __name__ == "__main__":
    app()

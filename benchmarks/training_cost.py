"""Images per second: the shipped recipe against the published network trained one frame at a time.

    MICROAUNET_DATA=data python -m benchmarks.training_cost

The recipe is `microaunet-train` as it is, all resolutions in their shares of the run, with validation and
checkpoints. What comes once, before the first epoch, is not counted: decoding the frames, and asking cached
teachers about them. The other side decodes, resizes and augments one frame and steps on it, as plain
training loops do. Both get one thread for the network, in turns in one run. Real frames are needed: decoding
is part of the cost.
"""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import typer
from torch.nn import functional as F

from microaunet.models import create
from microaunet.training.losses import soft_dice
from microaunet.training.run import TrainingRequest, run
from microaunet_runtime.console import DebugOption, command_app, out, progress
from microaunet_runtime.device.environment import environment
from microaunet_runtime.errors import GateError, InputError
from microaunet_runtime.evaluation.dataset import Pair, find_pairs, load_pair, resolve_set
from microaunet_runtime.files import write_json
from microaunet_runtime.percentiles import percentile

from .measuring.results import RESULTS

SIZE = 256
EPOCHS = 5  # the fewest that hold the recipe's resolutions in their shares
ROUNDS = 2
PLAIN_FRAMES = 40  # per round
LEAST_SPEEDUP = 8.0


def training_cost(
    recipe: Annotated[str, typer.Option("--recipe", help="Shipped name or file.")] = "kvasir",
    result: Annotated[Path, typer.Option("--json", help="Where the figures go.")] = RESULTS
    / "training_cost.json",
    debug: DebugOption = False,
) -> None:
    """Compare the shipped recipe's images a second with a plain loop over `paper`.

    Example: [bold]MICROAUNET_DATA=data python -m benchmarks.training_cost[/bold]
    """
    root = os.environ.get("MICROAUNET_DATA")
    if not root:
        raise InputError("MICROAUNET_DATA names no folder: decoding real frames is part of what is measured")
    pairs = find_pairs(resolve_set(Path(root, "kvasir-seg"), "train"))[:PLAIN_FRAMES]
    facts = environment(backend="pytorch", threads=1)
    torch.set_num_threads(1)
    # Training flushes the smallest floats on purpose; numpy remarks on it.
    warnings.filterwarnings("ignore", message=".*smallest subnormal", module="numpy")
    ours, plain = [], []
    with tempfile.TemporaryDirectory() as folder, progress() as bar:
        task = bar.add_task("training in turns", total=2 * ROUNDS)
        for round_ in range(ROUNDS):
            plain.append(plain_loop(pairs))
            bar.advance(task)
            ours.append(shipped(recipe, Path(root), Path(folder, str(round_)), Path(folder, "cache")))
            bar.advance(task)
    speeds = {"recipe": percentile(ours, 50), "paper_one_at_a_time": percentile(plain, 50)}
    speedup = speeds["recipe"] / speeds["paper_one_at_a_time"]
    write_json(
        result,
        {
            "images_per_second": speeds,
            "speedup": speedup,
            "rounds": {"recipe": ours, "paper_one_at_a_time": plain},
            "recipe": recipe,
            "passed": speedup >= LEAST_SPEEDUP,
            "environment": facts,
        },
    )
    out.print(
        f"{recipe} recipe {speeds['recipe']:.1f}, paper one frame at a time "
        f"{speeds['paper_one_at_a_time']:.1f} images a second: {speedup:.1f} times"
    )
    if speedup < LEAST_SPEEDUP:
        raise GateError(f"the recipe must be at least {LEAST_SPEEDUP:.0f} times as fast")


def shipped(recipe: str, data: Path, folder: Path, cache: Path) -> float:
    """Images a second of ``microaunet-train``; frames are decoded once, before."""
    changes = [f"epochs={EPOCHS}", f"validate_every={EPOCHS}"]
    request = TrainingRequest(recipe, changes, data, folder, False, "cpu", 1, 1, cache)
    results = run(request, lambda row: None)
    assert results is not None  # one process
    return float(results["images_per_second"])


def plain_loop(pairs: Sequence[Pair], seed: int = 0) -> float:
    """Images a second of `paper`, batch 1: decode, augment with OpenCV, step."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    network = create("paper").train()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    start = time.perf_counter()
    for pair in pairs:
        image, mask = augmented(pair, random)
        logits = network(image)
        loss = F.binary_cross_entropy_with_logits(logits, mask) + soft_dice(logits, mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return len(pairs) / (time.perf_counter() - start)


def augmented(pair: Pair, random: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """One frame, decoded, resized, flipped, turned and brightened: (1, 3, S, S) in 0..1, and (1, 1, S, S)."""
    image, mask = load_pair(pair)
    image = cv2.resize(image, (SIZE, SIZE))
    mask = cv2.resize(mask, (SIZE, SIZE), interpolation=cv2.INTER_NEAREST)
    if random.random() < 0.5:
        image, mask = image[:, ::-1].copy(), mask[:, ::-1].copy()
    turn = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), random.uniform(-180, 180), random.uniform(0.6, 1.5))
    image = cv2.warpAffine(image, turn, (SIZE, SIZE))
    mask = cv2.warpAffine(mask, turn, (SIZE, SIZE), flags=cv2.INTER_NEAREST)
    bright = np.clip(image.astype(np.float32) / 255 * random.uniform(0.8, 1.2), 0, 1)
    return (
        torch.from_numpy(bright.transpose(2, 0, 1))[None],
        torch.from_numpy(mask.astype(np.float32))[None, None],
    )


if __name__ == "__main__":
    command_app(training_cost)()

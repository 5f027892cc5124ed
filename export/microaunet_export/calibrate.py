"""Calibration: which frames, and the range of what each convolution reads on them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from onnx import ModelProto
from onnxruntime.quantization.calibrate import HistogramCollector

from microaunet.data.lists import read_list, resolve_images
from microaunet.data.lists import sha256 as file_sha256
from microaunet.quantisation.rounding import HIGHEST, best_step
from microaunet_runtime.errors import InputError
from microaunet_runtime.images import find_images, read_image
from microaunet_runtime.images.resize import resize_frame

from .graph import GraphRunner
from .quantize import convolutions

IMAGES = 256
FEWEST = 8
ADVISED = 100

# 256 bins over -max..max are as fine as INT8's own steps; the entropy search takes minutes with more.
BINS = 256
PERCENTILE = 99.99

# Values of each tensor and frame by which the range of the least squared error is found.
SAMPLES = 1 << 10

# To compare channels with each other; the ranges themselves come from all frames.
CHANNEL_FRAMES = 32

Pair = tuple[float, float]
Tick = Callable[[], None]


@dataclass(frozen=True)
class CalibrationSet:
    """The images to calibrate on.

    Attributes:
        paths: the images.
        listed: whether they come from a committed list.
    """

    paths: tuple[Path, ...]
    listed: bool

    def fingerprint(self) -> str:
        """SHA-256 over the images' hashes."""
        return hashlib.sha256("".join(map(file_sha256, self.paths)).encode()).hexdigest()

    def frames(self, height: int, width: int) -> list[np.ndarray]:
        """The images at the graph's size, uint8 (height, width, 3).

        Raises:
            InputError: an image cannot be read.
        """
        return [resize_frame(read_image(path), height, width) for path in self.paths]


def find(folder: Path, reported_on: Sequence[Path] = ()) -> CalibrationSet:
    """The images of ``folder`` to calibrate on.

    These are the committed list if it is Kvasir-SEG's training set, else up to 256 evenly spaced ones.

    Args:
        folder: images, or a set with ``images/``, or a root with ``train/images/``.
        reported_on: images that the result is evaluated on; calibrating on them is refused.

    Raises:
        InputError: no folder, fewer than 8 images, or some of them are ``reported_on``.
    """
    places = [folder / "images", folder / "train" / "images", folder]
    images = find_images(next((place for place in places if place.is_dir()), folder))
    if len(images) < FEWEST:
        raise InputError(
            f"{folder} holds {len(images)} images: calibration needs at least {FEWEST}, better {IMAGES}; "
            "give --calib a folder of training images (or one with images/ or train/images/)"
        )
    listed = _listed(images)
    chosen = listed or [images[round(k)] for k in np.linspace(0, len(images) - 1, min(IMAGES, len(images)))]
    evaluated = {file_sha256(path) for path in reported_on}
    if shared := [path for path in chosen if file_sha256(path) in evaluated]:
        raise InputError(
            f"{shared[0]} is in --data too ({len(shared)} images are): never calibrate on images that are "
            "reported; give --calib training images"
        )
    return CalibrationSet(tuple(chosen), bool(listed))


def find_listed(names: Sequence[str], root: Path) -> CalibrationSet:
    """Up to 256 evenly spaced images of committed lists (:mod:`microaunet.data.lists`) below the data root.

    Raises:
        InputError: there are no lists, no such list, or an image of it is missing or has other bytes.
    """
    if not names:
        raise InputError("the weights' card names no data lists: give --calib DIR with training images")
    frames, differing = resolve_images(names, root)
    if differing:
        raise InputError(f"{differing} frames below {root} are not those of the lists {', '.join(names)}")
    spread = np.linspace(0, len(frames) - 1, min(IMAGES, len(frames)))
    return CalibrationSet(tuple(frames[round(index)].image for index in spread), listed=True)


def _listed(images: Sequence[Path]) -> list[Path]:
    """The images of the committed list, or none when one is missing or has other bytes."""
    by_stem = {path.stem: path for path in images}
    chosen = []
    for entry in read_list("kvasir-calibration"):
        path = by_stem.get(Path(entry["image"]).stem)
        if path is None or file_sha256(path) != entry["image_sha256"]:
            return []
        chosen.append(path)
    return chosen


def channel_highs(model: ModelProto, frames: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """By convolution, a high percentile of each channel that it reads on some frames, float32 (C,).

    The highest value belongs to a single pixel, so the highest thousandth of each channel is ignored.
    """
    reads = {node.name: node.input[0] for node in convolutions(model)}
    names = sorted(set(reads.values()))
    runner = GraphRunner(model, extra=tuple(names))
    highs: dict[str, np.ndarray] = {}
    for index in np.linspace(0, len(frames) - 1, min(CHANNEL_FRAMES, len(frames))):
        outputs = runner(frames[round(index)])
        for name in names:
            values = np.quantile(np.abs(outputs[name]), 0.999, axis=(0, 2, 3))
            highs[name] = np.maximum(highs.get(name, 0), values)
    return {conv: highs[name] for conv, name in reads.items()}


def _least_error(values: np.ndarray) -> Pair:
    """The range that INT8 rounds ``values`` in with the smallest mean squared error."""
    highest = HIGHEST * float(best_step(torch.from_numpy(values).float()))
    return max(-highest, float(values.min())), min(highest, float(values.max()))


def collect(model: ModelProto, frames: Sequence[np.ndarray], tick: Tick) -> dict[str, dict[str, Pair]]:
    """The range of what each convolution reads, by method and convolution.

    The frames run twice: for the ends of the ranges, then for what lies between.

    Args:
        model: the FP32 graph.
        frames: uint8 (H, W, 3) each.
        tick: called after each frame, twice as often as there are frames.
    """
    reads = {node.name: node.input[0] for node in convolutions(model)}
    names = sorted(set(reads.values()))
    runner = GraphRunner(model, extra=tuple(names))
    widest = dict.fromkeys(names, (math.inf, -math.inf))
    for frame in frames:
        outputs = runner(frame)
        for name, (low, high) in widest.items():
            widest[name] = (min(low, float(outputs[name].min())), max(high, float(outputs[name].max())))
        tick()

    samples: dict[str, list[np.ndarray]] = {name: [] for name in names}
    collector = HistogramCollector(
        method="entropy",
        symmetric=False,
        num_bins=BINS,
        num_quantized_bins=128,
        percentile=PERCENTILE,
        scenario="same",
    )
    with contextlib.redirect_stdout(io.StringIO()):  # the collector prints as it goes
        # The ends come first, so that the bins are laid once for all frames and never multiply.
        collector.collect({name: np.array(ends, np.float32) for name, ends in widest.items()})
        for frame in frames:
            outputs = runner(frame)
            collector.collect({name: outputs[name] for name in names})
            for name, kept in samples.items():
                kept.append(outputs[name].ravel()[:: max(1, outputs[name].size // SAMPLES)].copy())
            tick()
        cuts: dict[str, Mapping[str, Sequence[float]]] = {
            "minmax": widest,
            "percentile": collector.compute_percentile(),
            "entropy": collector.compute_entropy(),
            "error": {name: _least_error(np.concatenate(kept)) for name, kept in samples.items()},
        }
    return {
        method: {conv: (float(cut[name][0]), float(cut[name][1])) for conv, name in reads.items()}
        for method, cut in cuts.items()
    }

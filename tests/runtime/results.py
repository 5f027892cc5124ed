"""A result as the pipeline hands it to sinks, and what a sink left in a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from microaunet_runtime.images.regions import find_boxes
from microaunet_runtime.stream.result import Result
from microaunet_runtime.stream.sources.frame import Frame
from microaunet_runtime.stream.tracking import Tracker


def result(index: int, height: int = 48, width: int = 64, shade: int = 100, fps: float = 20) -> Result:
    image = np.full((height, width, 3), shade, np.uint8)
    mask = np.zeros((height, width), np.uint8)
    mask[5:15, 5 + index : 20 + index] = 1
    frame = Frame(index, index / fps, f"{index:06d}", image, bgr=True)
    latency = {"inference": 1.23456, "end_to_end": 3.0}
    regions = Tracker()(find_boxes(mask), frame.time_s)
    return Result(frame, mask, 0.9, 150, 150 / mask.size, regions, 0, image, latency)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())

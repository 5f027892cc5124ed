"""Small videos, written and read back."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from redness import polyp_frame


def write_video(path: Path, frames: int = 12, size: tuple[int, int] = (96, 64), fps: float = 20) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), fps, size)
    drawn = [
        polyp_frame(size[1], size[0], 10 + 5 * i, 30, 9, i)[..., ::-1].copy() for i in range(min(frames, 20))
    ]
    for index in range(frames):
        writer.write(drawn[index % len(drawn)])
    writer.release()
    return path


def play(path: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        grabbed, frame = capture.read()
        if not grabbed:
            return frames
        frames.append(frame)

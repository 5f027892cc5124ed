"""What working inside the field of view changes: dice_image with and without ``--crop-view``.

    python -m benchmarks.crop_view --bundle BUNDLE --data DATA

It is measured twice on the Kvasir test set: as it is, where the publishers cropped most images to the view,
and as a scope's screen shows it, with the image right of the middle on a black 16:9 frame beside some text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from microaunet_runtime.bundle import Bundle
from microaunet_runtime.console import BundleOption, DebugOption, command_app, out, progress
from microaunet_runtime.evaluation.dataset import find_pairs, load_pair, resolve_set
from microaunet_runtime.evaluation.metrics import Confusion, interval
from microaunet_runtime.files import write_json
from microaunet_runtime.images.field_of_view import find_view, whole
from microaunet_runtime.images.resize import resize_probability
from microaunet_runtime.inference.session import Session, open_session
from microaunet_runtime.optional import opencv

from .measuring.results import RESULTS

RESULT = RESULTS / "crop_view.json"


def on_screen(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An image and its mask on a black frame of 16:9 with text on the left; uint8 (h, w, 3) and (h, w)."""
    cv2 = opencv()
    height = round(image.shape[0] * 1.1)
    width = max(round(height * 16 / 9), round(image.shape[1] * 1.1))
    top, left = (height - image.shape[0]) // 2, width - image.shape[1] - round(width * 0.03)
    screen, placed = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
    letter = height / 700
    for line in range(8):
        at = (round(8 * letter), round((70 + 50 * line) * letter))
        cv2.putText(screen, "ID 123456 12:34", at, cv2.FONT_HERSHEY_SIMPLEX, letter, (255, 255, 255), 1)
    rows, columns = slice(top, top + image.shape[0]), slice(left, left + image.shape[1])
    screen[rows, columns], placed[rows, columns] = image, mask
    return screen, placed


def dice(session: Session, image: np.ndarray, truth: np.ndarray, *, crop: bool) -> tuple[float, bool]:
    """dice_image of one frame, and whether the view was smaller than it."""
    height, width = truth.shape
    view = (find_view(image) if crop else None) or whole(height, width)
    cut = np.ascontiguousarray(view.cut(image))
    probability = resize_probability(session.probability(cut), *cut.shape[:2])
    mask = view.place((probability > session.threshold).view(np.uint8), height, width)
    return Confusion.of(mask, truth).dice, view.pixels < truth.size


def field_of_view(
    bundle: BundleOption,
    data: Annotated[Path, typer.Option("--data", help="Root that holds kvasir-seg/.")],
    result: Annotated[Path, typer.Option("--json", help="File for the figures.")] = RESULT,
    debug: DebugOption = False,
) -> None:
    """Measure dice_image with and without the view, on images as they are and on a simulated screen.

    Example: python -m benchmarks.crop_view --bundle bundle --data data
    """
    pairs = find_pairs(resolve_set(data / "kvasir-seg", "val"))
    scores: dict[str, list[float]] = {}
    cropped = {"as_published": 0, "on_screen": 0}
    with open_session(bundle, backend="onnxruntime", precision="fp32") as session, progress() as bar:
        for pair in bar.track(pairs):
            image, mask = load_pair(pair)
            for name, (frame, truth) in {
                "as_published": (image, mask),
                "on_screen": on_screen(image, mask),
            }.items():
                for crop in (False, True):
                    score, smaller = dice(session, frame, truth, crop=crop)
                    scores.setdefault(f"{name}, {'view' if crop else 'whole frame'}", []).append(score)
                    cropped[name] += crop and smaller
    manifest = Bundle(bundle).manifest
    figures: dict[str, Any] = {name: interval(values) for name, values in scores.items()}
    for name in cropped:
        change = np.subtract(scores[f"{name}, view"], scores[f"{name}, whole frame"])
        figures[f"{name}, change"] = interval(change)
    write_json(
        result,
        {
            "command": "python -m benchmarks.crop_view --bundle BUNDLE --data DATA",
            "bundle": {"name": manifest.name, "fp32_sha256": manifest.artefacts["fp32"].sha256},
            "images": len(pairs),
            "images_with_a_smaller_view": cropped,
            "dice_image": figures,
        },
    )
    for name, figure in figures.items():
        out.print(name, figure, markup=False)


app = command_app(field_of_view)

if __name__ == "__main__":
    app()

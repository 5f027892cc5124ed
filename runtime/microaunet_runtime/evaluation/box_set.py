"""Images with bounding boxes instead of masks, as Kvasir-SEG's ``kavsir_bboxes.json`` lists them.

The file lies beside ``images/`` and holds an object for each image, by its stem::

    {"cju0q": {"height": 529, "width": 622,
               "bbox": [{"label": "polyp", "xmin": 38, "ymin": 5, "xmax": 547, "ymax": 489}]}}
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from ..errors import InputError
from ..files import read_json
from ..images import read_image
from .dataset import images_by_stem, is_set

FILE_NAME = "kavsir_bboxes.json"  # as the data set spells it
LABEL = "polyp"
EDGES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class BoxedImage:
    """An image file and the boxes of its polyps.

    Attributes:
        height, width: of the image that the boxes were drawn on, in pixels.
        boxes: float64 (n, 4): xmin, ymin, xmax, ymax in pixels; n is 0 when the image shows no polyp.
    """

    stem: str
    image: Path
    height: int
    width: int
    boxes: np.ndarray

    def load(self) -> np.ndarray:
        """The image, uint8 (height, width, 3) RGB.

        Raises:
            InputError: it cannot be read, or is not of the size that the boxes were drawn on.
        """
        image = read_image(self.image)
        if image.shape[:2] != (self.height, self.width):
            raise InputError(
                f"{self.image} is {image.shape[1]} x {image.shape[0]}, but its boxes were drawn on "
                f"{self.width} x {self.height}: give the original images"
            )
        return image


def find_box_file(data: Path, split: str) -> Path | None:
    """The file of boxes that ``data`` names: itself, or one in a folder (or its ``split``) without masks."""
    if data.is_file():
        return data
    for folder in (data, data / split):
        if is_set(folder):
            return None
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    return None


def read_boxes(path: Path) -> list[BoxedImage]:
    """All images that the file ``path`` lists, sorted by stem.

    Raises:
        InputError: the file is not in this format, a box is empty or reaches outside of its image, an image
            is missing, or one that is there is not listed.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not content:
        raise InputError(
            f"{path} lists no images: expected an object as in Kvasir-SEG's {FILE_NAME}, by image"
        )
    folder = path.parent / "images"
    images = images_by_stem(folder)
    if missing := sorted(set(content) - set(images)):
        raise InputError(
            f"{path} lists {missing[0]!r}{_more(missing)}, but {folder} has no such image: add "
            "it, or remove it from the file"
        )
    if unlisted := sorted(set(images) - set(content)):
        raise InputError(
            f"{images[unlisted[0]]}{_more(unlisted)} is not in {path}: add its boxes, or an empty list "
            "where it shows no polyp, or remove the image"
        )
    return [_boxed(path, stem, images[stem], content[stem]) for stem in sorted(content)]


def _boxed(path: Path, stem: str, image: Path, entry: Any) -> BoxedImage:
    def bad(what: str) -> InputError:
        return InputError(f"{path}, {stem!r}: {what}; correct it, or restore the file")

    if not isinstance(entry, dict) or not isinstance(entry.get("bbox"), list):
        raise bad("expected an object with height, width and a list bbox")
    height, width = entry.get("height"), entry.get("width")
    if not _is_size(height) or not _is_size(width):
        raise bad(f"height {height!r:.20} and width {width!r:.20} are not numbers of pixels")
    boxes = np.zeros((len(entry["bbox"]), 4))
    for index, box in enumerate(entry["bbox"]):
        if not isinstance(box, dict) or not all(_is_number(box.get(edge)) for edge in EDGES):
            raise bad(f"box {index + 1} has no numbers {', '.join(EDGES)}")
        if box.get("label", LABEL) != LABEL:
            raise bad(f"box {index + 1} is labelled {box['label']!r:.40}, expected {LABEL!r}")
        left, top, right, bottom = boxes[index] = [box[edge] for edge in EDGES]
        if not (left < right and top < bottom):
            raise bad(f"box {index + 1} is empty")
        if left < 0 or top < 0 or right > width or bottom > height:
            raise bad(f"box {index + 1} reaches outside of the image, which is {width} x {height}")
    return BoxedImage(stem, image, height, width, boxes)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9


def _is_size(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and _is_number(value) and value > 0


def _more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""

"""Regions in the format of the COCO data set, which annotation and evaluation tools can read."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np

from ...files import explained, replacing
from ...optional import opencv
from ..result import Result

CATEGORY = {"id": 1, "name": "polyp"}


class CocoJson:
    """One JSON file: each frame an image, each of its regions an annotation with box, area and RLE mask.

    Args:
        path: the file, which appears whole when the sink is closed.
    """

    wants_overlay = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.title = f"COCO annotations in {path}"
        self._stack = ExitStack()
        self._annotations: IO[str] | None = None
        self._images: list[dict[str, Any]] = []
        self._count = 0

    def write(self, result: Result) -> None:
        """Add a frame and its regions, written to disk at once so that memory does not grow."""
        with explained(self.path):
            if self._annotations is None:
                self._begin()
            assert self._annotations is not None
            height, width = result.mask.shape
            image = len(self._images) + 1
            name = result.frame.name
            self._images.append({"id": image, "file_name": name, "height": height, "width": width})
            for region in regions(result.mask):
                self._count += 1
                annotation = {
                    "id": self._count,
                    "image_id": image,
                    "category_id": CATEGORY["id"],
                    "iscrowd": 0,
                }
                annotation |= {"score": round(result.presence, 6), **region}
                comma = "," if self._count > 1 else ""
                self._annotations.write(f"{comma}\n{json.dumps(annotation, allow_nan=False)}")

    def close(self) -> None:
        """Finish the file."""
        with explained(self.path):
            if self._annotations is not None:
                images, categories = json.dumps(self._images), json.dumps([CATEGORY])
                self._annotations.write(f'\n],\n"images": {images},\n"categories": {categories}}}\n')
                self._annotations, self._images, self._count = None, [], 0
            self._stack.close()

    def _begin(self) -> None:
        temporary = self._stack.enter_context(replacing(self.path))
        self._annotations = self._stack.enter_context(temporary.open("w", encoding="utf-8"))
        self._annotations.write('{"annotations": [')


def regions(mask: np.ndarray) -> list[dict[str, Any]]:
    """The 8-connected regions of a mask of 0 and 1, uint8 (h, w): ``bbox``, ``area`` and ``segmentation``."""
    cv2 = opencv()
    if not mask.any():
        return []
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    found = []
    for label in range(1, count):
        *box, area = map(int, stats[label])
        segmentation = {"size": list(mask.shape), "counts": run_lengths(labels == label)}
        found.append({"bbox": box, "area": area, "segmentation": segmentation})
    return found


def run_lengths(region: np.ndarray) -> list[int]:
    """COCO's uncompressed run lengths of a mask (h, w), column by column, beginning with zeros."""
    flat = region.T.reshape(-1).astype(np.int8)
    changes = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff(np.concatenate([[0], changes, [flat.size]]))
    return [0, *lengths.tolist()] if flat[0] else lengths.tolist()

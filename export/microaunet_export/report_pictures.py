"""Pictures of the report: a frame, its ground truth, the reference, an artefact, and where the two differ."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np

from microaunet_runtime.optional import opencv

SIDE = 256  # pixels of the shorter side: large enough to see an outline, small enough to inline dozens
QUALITY = 88  # of JPEG

# Colours that tissue never has, RGB; blue and orange are told apart by everyone.
TRUTH = (250, 250, 250)
REFERENCE = (80, 235, 90)
ARTEFACT = (70, 200, 255)
MORE = np.array([255, 150, 40], np.float32)
LESS = np.array([60, 150, 255], np.float32)


@dataclass(frozen=True)
class PictureRow:
    """One line of pictures, as data URIs, and its caption."""

    title: str
    frame: str
    truth: str
    reference: str
    artefact: str
    difference: str
    agreement: float
    max_abs_difference: float


def row(
    title: str,
    frame: np.ndarray,
    truth: np.ndarray,
    reference: np.ndarray,
    artefact: np.ndarray,
    threshold: float,
    agreement: float,
) -> PictureRow:
    """Draw one line.

    Args:
        frame: uint8 (H, W, 3) RGB.
        truth: mask of 0 and 1, uint8 (H, W).
        reference, artefact: probabilities, float32 (H, W).
    """
    difference = artefact - reference
    return PictureRow(
        title,
        _uri(frame),
        _uri(_outlined(frame, truth, TRUTH)),
        _uri(_outlined(frame, reference > threshold, REFERENCE)),
        _uri(_outlined(frame, artefact > threshold, ARTEFACT)),
        _uri(_signed(frame, difference)),
        agreement,
        float(np.abs(difference).max()),
    )


def _outlined(frame: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """The frame with the mask tinted and its contour drawn."""
    cv2 = opencv()
    inside = mask.astype(bool)
    view = frame.copy()
    view[inside] = (0.75 * view[inside] + 0.25 * np.array(colour)).astype(np.uint8)
    contours, _ = cv2.findContours(inside.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(view, contours, -1, colour, max(1, min(frame.shape[:2]) // 128))
    return view


def _signed(frame: np.ndarray, difference: np.ndarray) -> np.ndarray:
    """Orange where the artefact is more sure of a polyp, blue where it is less; full colour at 0.25."""
    strength = np.clip(np.abs(difference) / 0.25, 0, 1)[..., None]
    colour = np.where((difference > 0)[..., None], MORE, LESS)
    grey = frame.mean(axis=2, keepdims=True) * 0.25
    return (grey * (1 - strength) + colour * strength).astype(np.uint8)


def _uri(image: np.ndarray) -> str:
    cv2 = opencv()
    height, width = image.shape[:2]
    scale = SIDE / min(height, width)
    if scale < 1:
        image = cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    written, content = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not written:
        raise RuntimeError("OpenCV cannot write JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(content.tobytes()).decode()

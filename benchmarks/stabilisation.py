"""What temporal stabilisation buys on a clip, and what it costs in delay.

    python -m benchmarks.stabilisation --bundle BUNDLE --data DATA

The clip has a box around each polyp in each frame and no masks. The settings were chosen on this clip: it
shows how they trade, and is no test of a choice made elsewhere. Polyp-free scenes are made from the parts of
Kvasir test images beside the polyp. What appearing late costs shows on ClinicDB's test sequences, a polyp in
every frame, whose frames lie further apart than a camera's.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from microaunet.data import lists
from microaunet.data.background import polyp_free_strip
from microaunet_runtime.bundle import Bundle
from microaunet_runtime.console import BundleOption, DebugOption, command_app, out
from microaunet_runtime.errors import InputError
from microaunet_runtime.evaluation.dataset import find_pairs, load_pair, resolve_set
from microaunet_runtime.evaluation.metrics import Confusion, polyps_found
from microaunet_runtime.files import read_json, write_json
from microaunet_runtime.images.regions import find_boxes
from microaunet_runtime.images.resize import resize_mask
from microaunet_runtime.inference.session import Session, open_session
from microaunet_runtime.optional import opencv
from microaunet_runtime.stream.sources.files import VideoFile
from microaunet_runtime.stream.stabilise import Stabilisation, Stabiliser, delay_frames

from .measuring.results import RESULTS
from .measuring.scenes import scene

RESULT = RESULTS / "stabilisation.json"
CLIP = Path("video/colonoscopy_polyp_53f.mp4")
BOXES = Path("video/colonoscopy_polyp_53f.boxes.json")
SETTINGS = {
    "off": None,
    "default": Stabilisation(),
    "whatever the presence": Stabilisation(),
    "weak": Stabilisation(weight=0.7),
    "strong": Stabilisation(weight=0.3),
    "no margin": Stabilisation(margin=0.0),
    "regions only": Stabilisation(weight=1.0),
}
POLYP_FREE_SCENES = 40
SURE = 0.95  # probability of the region that the delay is stated for
LEAST_STRIP = 0.4  # of the image; smaller strips are too narrow to be stretched to a frame

Box = tuple[int, int, int, int]
Seen = tuple[np.ndarray, float]  # probability and presence of a frame


def stabilised(
    seen: Sequence[Seen],
    settings: Stabilisation | None,
    threshold: float,
    presence: float,
    fps: float,
) -> list[np.ndarray]:
    """Masks, uint8 (H, W), of consecutive frames; without settings each one's own, whatever its presence."""
    if settings is None:
        return [(probability > threshold).view(np.uint8) for probability, _ in seen]
    stabiliser = Stabiliser(threshold, presence, settings)
    return [stabiliser(*said, index / fps) for index, said in enumerate(seen)]


def figures(masks: Sequence[np.ndarray], boxes: Sequence[Sequence[Box]], fps: float) -> dict[str, Any]:
    """Flicker, finds and false alarms of one clip.

    A box is hit when half of it is mask; a polyp is the box with the same number in every frame. A false
    alarm is a region that touches no box and nothing that was marked in the frame before: new for the eye.
    """
    found = total = alarms = 0
    first: dict[int, int] = {}
    for index, (mask, present) in enumerate(zip(masks, boxes, strict=True)):
        for number, (left, top, right, bottom) in enumerate(present):
            truth = np.zeros_like(mask)
            truth[top:bottom, left:right] = 1
            hit, _ = polyps_found(mask, truth)
            found, total = found + hit, total + 1
            if hit:
                first.setdefault(number, index)
        before = masks[index - 1] if index else np.zeros_like(mask)
        alarms += new_regions(mask, present, before)
    overlaps = [Confusion.of(a, b).iou for a, b in pairwise(masks)]
    polyps = max(map(len, boxes), default=0)
    return {
        "frame_to_frame_iou": round(float(np.mean(overlaps)), 4),
        "box_hit_rate": round(found / total, 4) if total else None,
        "polyp_sensitivity": round(len(first) / polyps, 4) if polyps else None,
        "first_hit_frame": {str(number): index for number, index in sorted(first.items())},
        "false_alarms_per_minute": round(alarms / (len(masks) / fps / 60), 1),
        "frames_with_mask": sum(bool(mask.any()) for mask in masks),
    }


def new_regions(mask: np.ndarray, boxes: Sequence[Box], before: np.ndarray) -> int:
    """How many regions of ``mask`` touch no box and nothing of the mask before."""
    known = before.copy()
    for left, top, right, bottom in boxes:
        known[top:bottom, left:right] = 1
    count, labels = opencv().connectedComponents(mask, connectivity=8)
    return int(count - 1 - np.count_nonzero(np.unique(labels[known > 0])))


def stabilisation(
    bundle: BundleOption,
    data: Annotated[Path, typer.Option("--data", help="Holds video/, kvasir-seg/ and cvc-clinicdb/.")],
    result: Annotated[Path, typer.Option("--json", help="File for the figures.")] = RESULT,
    debug: DebugOption = False,
) -> None:
    """Measure stabilisation on the clip with boxes, on test sequences and on polyp-free scenes.

    Example: python -m benchmarks.stabilisation --bundle bundle --data data
    """
    clip = VideoFile(data / CLIP)
    fps = clip.fps or 25.0
    boxes = [[tuple(box["bbox"]) for box in frame] for frame in read_json(data / BOXES)["frames"]]
    with open_session(bundle, backend="onnxruntime", precision="fp32") as session:
        threshold = session.threshold
        size = (0, 0)
        seen = []
        for frame in clip:
            size = frame.image.shape[:2]
            seen.append(said(session, frame.image, bgr=True))
        clean = [[said(session, image) for image in images] for images in polyp_free(data)]
        polyps = [[(said(session, image), truth) for image, truth in frames] for frames in sequences(data)]
    if len(seen) != len(boxes):
        raise InputError(f"{data / CLIP} has {len(seen)} frames, its boxes are for {len(boxes)}")
    manifest = Bundle(bundle).manifest
    rows = {}
    for name, settings in SETTINGS.items():
        presence = 0.0 if name == "whatever the presence" else manifest.stabilised_presence
        masks = [resize_mask(mask, *size) for mask in stabilised(seen, settings, threshold, presence, fps)]
        free = [stabilised(shots, settings, threshold, presence, fps) for shots in clean]
        rows[name] = {
            **figures(masks, boxes, fps),
            "delay_frames": delay_frames(settings, SURE, threshold) if settings else 0,
            **polyp_free_figures(free),
            **sequence_figures(polyps, settings, threshold, presence, fps),
        }
        out.print(name, rows[name], markup=False)
    write_json(
        result,
        {
            "command": "python -m benchmarks.stabilisation --bundle BUNDLE --data DATA",
            "bundle": {"name": manifest.name, "fp32_sha256": manifest.artefacts["fp32"].sha256},
            "threshold": threshold,
            "stabilised_presence": manifest.stabilised_presence,
            "clip_frames": len(seen),
            "fps": fps,
            "polyp_free_scenes": len(clean),
            "sequences": len(polyps),
            "sequence_frames": sum(map(len, polyps)),
            "settings": rows,
        },
    )


def polyp_free_figures(scenes: Sequence[Sequence[np.ndarray]]) -> dict[str, Any]:
    """What is marked although there is no polyp, in the masks of every scene's frames."""
    masks = [mask for scene in scenes for mask in scene]
    return {
        "polyp_free_scenes_clean": sum(not any(mask.any() for mask in scene) for scene in scenes),
        "polyp_free_frames_marked": sum(bool(mask.any()) for mask in masks),
        "polyp_free_share_marked": round(float(np.mean([mask.mean() for mask in masks])), 4),
        "polyp_free_regions": sum(len(find_boxes(mask)) for mask in masks),
    }


def said(session: Session, image: np.ndarray, *, bgr: bool = False) -> Seen:
    """What the network says of a frame, uint8 (h, w, 3)."""
    prediction = session.run(image, bgr=bgr)
    return prediction.probability, prediction.presence


def sequences(data: Path) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """ClinicDB's test sequences: RGB frames, uint8 (h, w, 3), and masks, in order."""
    frames, _ = lists.resolve(["clinicdb-sequence-test"], data)
    with (data / "cvc-clinicdb/sequences.csv").open() as stream:
        sequence_of = {row["frame_id"]: row["sequence_id"] for row in csv.DictReader(stream)}
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for frame in sorted(frames, key=lambda frame: int(frame.image.stem)):
        pair = frame.pair
        found.setdefault(sequence_of[pair.stem], []).append(load_pair(pair))
    return list(found.values())


def sequence_figures(
    polyps: Sequence[Sequence[tuple[Seen, np.ndarray]]],
    settings: Stabilisation | None,
    threshold: float,
    presence: float,
    fps: float,
) -> dict[str, Any]:
    """In how many sequences, and in how many of their frames, the polyp is found.

    Args:
        polyps: by sequence, of each frame what was said and its mask.
    """
    hits = []
    for sequence in polyps:
        masks = stabilised([seen for seen, _ in sequence], settings, threshold, presence, fps)
        hits.append(
            [
                polyps_found(resize_mask(mask, *truth.shape), truth)[0] > 0
                for mask, (_, truth) in zip(masks, sequence, strict=True)
            ]
        )
    return {
        "sequences_found": sum(map(any, hits)),
        "sequence_frames_found": sum(map(sum, hits)),
    }


def polyp_free(data: Path) -> list[list[np.ndarray]]:
    """Polyp-free scenes from the parts of Kvasir test images beside the polyp, uint8 (h, w, 3) RGB."""
    random = np.random.default_rng(0)
    scenes: list[list[np.ndarray]] = []
    for pair in find_pairs(resolve_set(data / "kvasir-seg", "val")):
        image, mask = load_pair(pair)
        if strip := polyp_free_strip(mask, LEAST_STRIP):
            scenes.append([frame for frame, _ in scene(image[strip], random)])
        if len(scenes) == POLYP_FREE_SCENES:
            break
    return scenes


app = command_app(stabilisation)

if __name__ == "__main__":
    app()

"""What temporal stabilisation buys on a clip, and what it costs in delay.

    python -m benchmarks.stabilisation --bundle BUNDLE --data DATA

The clip has a box around each polyp in each frame and no masks. The settings were chosen on this clip: it
shows how they trade, and is no test of a choice made elsewhere. Scenes, in which a window drifts over a
frame, are made from test frames: without a polyp, for false alarms a minute by the shortest that counts, and
with one, for the time to its first detection. What appearing late costs also shows on ClinicDB's test
sequences, a polyp in every frame, whose frames lie further apart than a camera's. The operating point is the
bundle's, chosen on validation frames (``benchmarks.shipping.choose_presence``).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from microaunet.data import lists
from microaunet_runtime.bundle import Bundle
from microaunet_runtime.bundle.manifest import Manifest
from microaunet_runtime.console import BundleOption, DebugOption, command_app, out
from microaunet_runtime.errors import InputError
from microaunet_runtime.evaluation.dataset import load_pair
from microaunet_runtime.evaluation.metrics import Confusion, polyps_found
from microaunet_runtime.files import read_json, write_json
from microaunet_runtime.images import read_image
from microaunet_runtime.images.resize import resize_mask
from microaunet_runtime.inference.session import Session, open_session
from microaunet_runtime.optional import opencv
from microaunet_runtime.stream.sources.files import VideoFile
from microaunet_runtime.stream.stabilise import Stabilisation, Stabiliser, delay_frames

from .measuring.results import RESULTS
from .measuring.scenes import scene
from .measuring.seen import polyp_free_lists

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
SCENES = 60  # of either kind
SCENE_FPS = 25.0
POLYP_FREE_S, POLYP_S = 3, 2  # seconds of a scene
ALARMS_S = (0.0, 0.5, 1.0, 2.0)  # the shortest alarm that counts
POLYP_LISTS = ("kvasir-test", "polypgen-test")
SURE = 0.95  # probability of the region that the delay is stated for

Box = tuple[int, int, int, int]
Seen = tuple[np.ndarray, float]  # probability and presence of a frame


def stabilised(
    seen: Sequence[Seen],
    settings: Stabilisation | None,
    threshold: float,
    presence: float,
    fps: float,
) -> list[np.ndarray]:
    """Masks, uint8 (H, W), of consecutive frames; without settings each one's own, at the operating point."""
    if settings is None:
        return [((probability > threshold) & (said >= presence)).view(np.uint8) for probability, said in seen]
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
    """Measure stabilisation on the clip with boxes, on test sequences, and on scenes of test frames.

    Example: python -m benchmarks.stabilisation --bundle bundle --data data
    """
    manifest = Bundle(bundle).manifest
    clip = VideoFile(data / CLIP)
    fps = clip.fps or 25.0
    boxes = [[tuple(box["bbox"]) for box in frame] for frame in read_json(data / BOXES)["frames"]]
    with open_session(bundle, backend="onnxruntime", precision="fp32") as session:
        threshold = session.threshold
        size = (0, 0)
        seen = []
        for frame in clip:
            size = frame.image.shape[:2]
            seen.append(said(session, frame.image))
        points = {name: operating_point(name, settings, manifest) for name, settings in SETTINGS.items()}
        scenes = {name: SceneFigures() for name in SETTINGS}
        for frames, truths in made_scenes(data):
            shots = [session.see(image) for image in frames]
            for name, settings in SETTINGS.items():
                masks = stabilised(shots, settings, threshold, points[name], SCENE_FPS)
                scenes[name].add(masks, truths)
        polyps = [[(session.see(image), truth) for image, truth in frames] for frames in sequences(data)]
    if len(seen) != len(boxes):
        raise InputError(f"{data / CLIP} has {len(seen)} frames, its boxes are for {len(boxes)}")
    rows = {}
    for name, settings in SETTINGS.items():
        presence = points[name]
        masks = [resize_mask(mask, *size) for mask in stabilised(seen, settings, threshold, presence, fps)]
        rows[name] = {
            **figures(masks, boxes, fps),
            "delay_frames": delay_frames(settings, SURE, threshold) if settings else 0,
            **scenes[name].record(),
            **sequence_figures(polyps, settings, threshold, presence, fps),
        }
        out.print(name, rows[name], markup=False)
    write_json(
        result,
        {
            "command": "python -m benchmarks.stabilisation --bundle BUNDLE --data DATA",
            "bundle": {"name": manifest.name, "fp32_sha256": manifest.artefacts["fp32"].sha256},
            "threshold": threshold,
            "presence": manifest.presence,
            "stabilised_presence": manifest.stabilised_presence,
            "clip_frames": len(seen),
            "fps": fps,
            "scenes": {"of_each_kind": SCENES, "polyp_free_s": POLYP_FREE_S, "polyp_s": POLYP_S},
            "sequences": len(polyps),
            "sequence_frames": sum(map(len, polyps)),
            "settings": rows,
        },
    )


def operating_point(name: str, settings: Stabilisation | None, manifest: Manifest) -> float:
    """Where the row ``name`` shows regions: the bundle's points, or everywhere."""
    if name == "whatever the presence":
        return 0.0
    return manifest.stabilised_presence if settings else manifest.presence


class SceneFigures:
    """False alarms and first detections, scene by scene."""

    def __init__(self) -> None:
        self._free: list[list[bool]] = []
        self._first_s: list[float | None] = []

    def add(self, masks: Sequence[np.ndarray], truths: Sequence[np.ndarray] | None) -> None:
        """Add the masks of a scene, and the ground truth of its frames, at any size; None without a polyp."""
        if truths is None:
            self._free.append([bool(mask.any()) for mask in masks])
            return
        hits = (
            polyps_found(resize_mask(mask, *truth.shape), truth)[0] > 0
            for mask, truth in zip(masks, truths, strict=True)
        )
        self._first_s.append(next((index / SCENE_FPS for index, hit in enumerate(hits) if hit), None))

    def record(self) -> dict[str, Any]:
        """The figures, ready for JSON."""
        found = [first for first in self._first_s if first is not None]
        minutes = sum(map(len, self._free)) / SCENE_FPS / 60
        runs = [length / SCENE_FPS for scene in self._free for length in alarm_lengths(scene)]
        return {
            "polyp_free_scenes_clean": sum(not any(scene) for scene in self._free),
            "polyp_free_frames_marked": sum(map(sum, self._free)),
            "alarms_per_minute": {
                f"{least:g} s": round(sum(run >= least for run in runs) / minutes, 2) if minutes else None
                for least in ALARMS_S
            },
            "polyps_found_within_1_s": sum(first < 1 for first in found),
            "polyps_never_found": len(self._first_s) - len(found),
            "first_detection_median_s": float(np.median(found)) if found else None,
        }


def alarm_lengths(shown: Sequence[bool]) -> list[int]:
    """Frames of each uninterrupted run of frames on which something is shown."""
    return [sum(run) for mark, run in groupby(shown) if mark]


def made_scenes(data: Path) -> Iterator[tuple[list[np.ndarray], list[np.ndarray] | None]]:
    """Frames, uint8 (h, w, 3) RGB, and masks of scenes from test frames; None for those without a polyp."""
    random = np.random.default_rng(0)
    for frame in spread(lists.resolve_images(polyp_free_lists("test"), data)[0]):
        shots = scene(read_image(frame.image), random, round(POLYP_FREE_S * SCENE_FPS))
        yield [shot for shot, _ in shots], None
    for frame in spread(lists.resolve(POLYP_LISTS, data)[0]):
        image, mask = load_pair(frame.pair)
        made = list(scene(image, random, round(POLYP_S * SCENE_FPS)))
        yield [shot for shot, _ in made], [mask[place] for _, place in made]


def spread(frames: Sequence[lists.ListedFrame]) -> list[lists.ListedFrame]:
    """Up to :data:`SCENES` of the frames, evenly spaced."""
    return [frames[round(k)] for k in np.linspace(0, len(frames) - 1, min(SCENES, len(frames)))]


def said(session: Session, image: np.ndarray) -> Seen:
    """What the network says of a frame as OpenCV reads it, uint8 (h, w, 3) BGR."""
    return session.see(np.ascontiguousarray(image[..., ::-1]))


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


app = command_app(stabilisation)

if __name__ == "__main__":
    app()

"""``microaunet-eval``: score weights or a bundle on images with masks or boxes, and on polyp-free frames."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ..bundle import Bundle
from ..bundle.manifest import PRECISIONS
from ..console import (
    BANNER,
    DebugOption,
    JsonOption,
    ThreadsOption,
    TrustOption,
    UrlOption,
    command_app,
    out,
    progress,
    run_app,
)
from ..errors import InputError
from ..evaluation.box_set import find_box_file, read_boxes
from ..evaluation.dataset import find_pairs, resolve_set
from ..evaluation.detection import BoxEvaluation, Shower, evaluate_boxes
from ..evaluation.evaluate import Evaluation
from ..evaluation.operating_point import SeenFrame, evaluate_seen, presence_summary, see_polyp_free
from ..evaluation.worst import worst_picture
from ..files import write_json
from ..images import find_images, read_image
from ..inference import registry
from ..inference.pytorch import open_reference
from ..inference.session import Session, open_session
from .eval_output import print_boxes, print_presence, print_scores


def run(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="A set (images/ and masks/), a root with train/ and val/, or Kvasir-SEG's file of boxes.",
        ),
    ] = None,
    polyp_free: Annotated[
        Path | None,
        typer.Option(
            "--polyp-free",
            help="Images that show no polyp, as you declare: a folder, or a set; masks are not needed.",
        ),
    ] = None,
    weights: Annotated[
        str, typer.Option("--weights", help="Shipped weights by name, or a .safetensors file.")
    ] = "",
    bundle: Annotated[
        Path | None, typer.Option("--bundle", help="Folder written by microaunet-export.")
    ] = None,
    precision: Annotated[
        str, typer.Option("--precision", help=f"Of the bundle: {', '.join(PRECISIONS)}. [default: fp32]")
    ] = "",
    backend: Annotated[str, typer.Option("--backend", help=f"Of the bundle: {registry.CHOICES}")] = "auto",
    url: UrlOption = None,
    split: Annotated[str, typer.Option("--split", help="The set to take when --data is a root.")] = "val",
    pranet: Annotated[bool, typer.Option("--pranet", help="Also the measures of PraNet's toolbox.")] = False,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Replaces the one of the weights or bundle.")
    ] = None,
    presence: Annotated[
        float | None,
        typer.Option("--presence", help="The operating point; replaces the one of the weights or bundle."),
    ] = None,
    out_folder: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for per_image.csv, worst.png and summary.json."),
    ] = None,
    threads: ThreadsOption = 1,
    trust: TrustOption = False,
    json_file: JsonOption = None,
    debug: DebugOption = False,
) -> None:
    """Score weights (PyTorch) or a bundle (without torch) on images with masks and on polyp-free frames.

    Every network is scored by the same code: the probability is resized to the mask's own size, then cut.
    With both kinds of frame the command also says how well presence tells them apart. On a set with boxes
    instead of masks (images/ and kavsir_bboxes.json) the boxes of what is shown are scored.

    Example: microaunet-eval --bundle bundle --precision int8 --data kvasir-seg --out scores
    """
    if bool(weights) == (bundle is not None):
        raise InputError("give exactly one of --weights and --bundle")
    if weights and (precision or backend != "auto" or url):
        raise InputError(
            "--precision, --backend and --url choose among a bundle's files: weights run on PyTorch in FP32"
        )
    if data is None and polyp_free is None:
        raise InputError("give --data, --polyp-free, or both")
    out.print(BANNER)
    box_file = find_box_file(data, split) if data else None
    if box_file and pranet:
        raise InputError(f"--pranet scores masks, and {box_file} holds boxes: leave out --pranet")
    boxed = read_boxes(box_file) if box_file else []
    folder = resolve_set(data, split) if data and not box_file else None
    pairs = find_pairs(folder) if folder else []
    free = _polyp_free_images(polyp_free) if polyp_free else []
    opened = Bundle(bundle, trust=trust) if bundle else None
    with (
        _session(weights, opened, precision, backend, url, threshold, presence, threads) as session,
        progress() as bar,
    ):
        results: dict[str, Any] = {
            "model": {
                "weights" if weights else "bundle": weights or str(bundle),
                "backend": session.backend.name,
                "precision": session.backend.precision,
            },
            "threshold": session.threshold,
            "source": session.note,
        }
        evaluation: Evaluation | BoxEvaluation | None = None
        seen: list[SeenFrame] = []
        if folder:
            task = bar.add_task(f"evaluating {folder.name}", total=len(pairs))
            evaluation, seen = evaluate_seen(
                session.see,
                pairs,
                session.threshold,
                source=session.note,
                pranet=pranet,
                advance=lambda: bar.advance(task),
            )
            results |= {"data": str(folder), **evaluation.summary}
            print_scores(results)  # before anything is written: a full disk must not cost the figures
        if box_file:
            task = bar.add_task(f"boxes of {box_file.name}", total=len(boxed))
            evaluation = evaluate_boxes(_shower(session), boxed, lambda: bar.advance(task))
            results |= {"data": str(box_file), "images": len(boxed), "boxes": evaluation.summary}
            print_boxes(results)
        if polyp_free:
            results["polyp_free_data"] = str(polyp_free)
            images = map(read_image, bar.track(free, description="polyp-free frames"))
            seen += see_polyp_free(session.see, images, session.threshold)
        results["presence"] = presence_summary(seen, session.presence)
        if seen:
            print_presence(results["presence"])
        out.print(f"{results['source']}; threshold {results['threshold']:g}", markup=False)
        if out_folder is not None:
            if evaluation:
                evaluation.write_csv(out_folder / "per_image.csv")
            if isinstance(evaluation, Evaluation):
                worst_picture(evaluation, session.probability, pairs, out_folder / "worst.png")
            write_json(out_folder / "summary.json", results)
            out.print(f"written: {out_folder}", markup=False)
    if json_file is not None:
        write_json(json_file, results)


def _session(
    weights: str,
    bundle: Bundle | None,
    precision: str,
    backend: str,
    url: str | None,
    threshold: float | None,
    presence: float | None,
    threads: int,
) -> Session:
    if bundle is None:
        return open_reference(weights, threshold=threshold, presence=presence, threads=threads)
    return open_session(
        bundle,
        backend=backend,
        precision=precision or None,
        threshold=threshold,
        presence=presence,
        threads=threads,
        url=url,
    )


def _shower(session: Session) -> Shower:
    def show(frame: np.ndarray) -> tuple[np.ndarray, float]:
        prediction = session.run(frame)
        return prediction.mask, prediction.presence

    return show


def _polyp_free_images(folder: Path) -> list[Path]:
    """The images of a folder, or of a set with ``images/``."""
    images = folder / "images"
    return find_images(images if images.is_dir() else folder)


app = command_app(run)


def main() -> None:
    """Entry point."""
    run_app(app)

"""Any source, frame by frame, in a ``for`` loop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..bundle import Bundle
from .events import Events
from .presenting import Presenter
from .result import Result
from .segmenter import Segmenter
from .settings import StreamSettings, follows_time
from .sources.opening import open_source


def stream(
    source: str | Path,
    bundle: Bundle | Path | str,
    *,
    backend: str = "auto",
    precision: str | None = None,
    threshold: float | None = None,
    presence: float | None = None,
    threads: int = 1,
    stabilise: bool = False,
    crop_view: bool = False,
    overlay: bool = False,
    url: str | None = None,
    events: Events | None = None,
) -> Iterator[Result]:
    """The results of the frames of ``source`` in order, each computed when it is asked for.

    Nothing is opened before the first result is asked for, and everything is closed when the loop ends for
    any reason. A live source drops frames that arrive while the loop is busy, and reconnects when it is
    lost; a file drops none. While a Triton server is gone, files wait for it, and a live source loses frames.
    The frames' pixels and masks belong to the caller.

    for result in microaunet_runtime.stream("video.mp4", "bundle", stabilise=True):
        result.frame.image, result.frame.time_s      # uint8 (h, w, 3), seconds from the start
        result.mask                                  # uint8 (h, w), 1 where a polyp is seen
        result.presence                              # how sure the network is of a polyp, 0 to 1
        result.regions, result.region_count          # boxes with an ``id`` that lasts; how many so far
        result.latency_ms                            # by stage

    Args:
        source: as ``microaunet-run --source`` takes it: an image, a folder or glob of images, a video, or a
            live source such as ``camera:0``.
        bundle: a folder written by ``microaunet-export``.
        backend, precision, threshold, threads, url: see :func:`~microaunet_runtime.open_session`.
        presence: the operating point, the presence from which a frame's regions are shown; None for the
            bundle's.
        stabilise: smooth masks over time; videos and live sources.
        crop_view: work inside the lit part of the picture, without black borders.
        overlay: also draw ``result.overlay``.
        events: is told of events such as a camera that is lost and found again.

    Raises:
        InputError: the source or the bundle cannot be used; a video that is damaged or cut short, after the
            frames that it holds.
        MissingDependencyError: what this source or backend needs is not installed.
        MicroAUNetError: the backend failed twice.
    """
    events = events or Events()
    opened = bundle if isinstance(bundle, Bundle) else Bundle(bundle)
    settings = StreamSettings(
        opened, backend, precision, threshold, presence, threads, stabilise, crop_view, url
    )
    frames = open_source(str(source), events)
    segmenter = None
    try:
        settings.check(frames)
        segmenter = Segmenter(settings.open_session, settings.view(frames), settings.stabiliser(), events)
        present = Presenter(follow=follows_time(frames), overlay=overlay)
        for frame in frames:
            if segmented := segmenter(frame):
                yield present(segmented)
    finally:
        frames.stop()
        frames.close()
        if segmenter:
            segmenter.close()

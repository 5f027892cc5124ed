"""A session runs frames: a bundle's graph on one backend, from an image of any size to its mask.

from microaunet_runtime import open_session
with open_session("bundle") as session:
    prediction = session.run(frame)          # uint8 (H, W, 3) RGB, any size
    prediction.mask                          # uint8 (H, W), 1 where a polyp is seen
    prediction.presence                      # how sure the network is that there is one, 0..1
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from ..bundle import Bundle
from ..bundle.manifest import PRECISIONS
from ..errors import InputError
from ..images.regions import without_specks
from ..images.resize import FrameResizer, cut_mask
from . import registry
from .backend import Backend, check_outputs

MOST_THREADS = 256  # more than any machine of this kind has; thousands end in a crash of the backend
_SLACK = 0.01  # around the threshold, where a backend may round the mask's probability otherwise


@dataclass(frozen=True)
class Prediction:
    """The result of one frame. The arrays belong to the caller: no later frame changes them.

    Attributes:
        probability: float32 (H, W) at the graph's size.
        mask: uint8 (h, w) at the source frame's size, 1 inside a polyp, else 0. Empty when ``presence`` is
            below the session's operating point, and without specks: regions under
            :data:`~.images.regions.SMALLEST_SHARE` of the graph's frame.
        presence: how sure the network is that the frame shows a polyp at all, 0..1.
        latency_ms: milliseconds by stage: ``preprocess``, ``inference``, ``postprocess``.
    """

    probability: np.ndarray
    mask: np.ndarray
    presence: float
    latency_ms: dict[str, float]


class Session:
    """A backend with its bundle's contract. One session per thread: using one from two at once is an error.

    Masks are cut from the probability at ``threshold``, whatever the graph's own mask was cut at.

    Attributes:
        threshold: the probability above which a pixel of a mask is 1.
        presence: the operating point: a frame of less presence has an empty mask. 0 shows every mask.
    """

    def __init__(
        self,
        backend: Backend,
        height: int,
        width: int,
        *,
        threshold: float,
        presence: float = 0.0,
        note: str = "",
    ) -> None:
        self.backend = backend
        self.height = height
        self.width = width
        self.threshold = threshold
        self.presence = presence
        self.note = note
        self._resize = FrameResizer(height, width)
        self._in_use = threading.Lock()

    def run(self, frame: np.ndarray, *, bgr: bool = False) -> Prediction:
        """The prediction for one frame.

        Args:
            frame: uint8 (h, w, 3), RGB, or BGR as OpenCV gives it with ``bgr``; any size.

        Raises:
            InputError: the frame has another dtype or shape, or is empty; or another thread is using the
                session.
            MicroAUNetError: the backend failed, or gave what is no probability and no mask.
        """
        with self._alone():
            start = time.perf_counter()
            tensor = self._resize(frame, bgr=bgr)
            ready = time.perf_counter()
            outputs = self.backend.infer(tensor)
            done = time.perf_counter()
            check_outputs(outputs)
            probability, presence = outputs.probability[0, 0].copy(), float(outputs.presence[0])
        if presence < self.presence:
            full = np.zeros(frame.shape[:2], np.uint8)
        else:
            shown = without_specks(probability, self.threshold)
            full = cut_mask(shown, self.threshold, *frame.shape[:2])
        end = time.perf_counter()
        return Prediction(
            probability,
            full,
            presence,
            {
                "preprocess": (ready - start) * 1e3,
                "inference": (done - ready) * 1e3,
                "postprocess": (end - done) * 1e3,
            },
        )

    def probability(self, frame: np.ndarray) -> np.ndarray:
        """The probability of one frame, see :meth:`see`."""
        return self.see(frame)[0]

    def see(self, frame: np.ndarray) -> tuple[np.ndarray, float]:
        """Probability, float32 (H, W) at the graph's size, and presence of one frame; the caller owns both.

        Args:
            frame: uint8 (h, w, 3) RGB, any size.

        Raises:
            InputError: the frame has another dtype or shape, or is empty; or another thread is using the
                session.
            MicroAUNetError: the backend failed, or gave what is no probability and no mask.
        """
        with self._alone():
            outputs = self.backend.infer(self._resize(frame, bgr=False))
            check_outputs(outputs)
            return outputs.probability[0, 0].copy(), float(outputs.presence[0])

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Allow one thread at a time: the buffers hold one frame, so two threads would mix up theirs."""
        if not self._in_use.acquire(blocking=False):
            raise InputError("this session is in use by another thread: open one session per thread")
        try:
            yield
        finally:
            self._in_use.release()

    def close(self) -> None:
        """Release the backend's resources. Closing twice is fine."""
        self.backend.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_session(
    bundle: Bundle | Path | str,
    *,
    backend: str = "auto",
    precision: str | None = None,
    threshold: float | None = None,
    presence: float | None = None,
    threads: int = 1,
    url: str | None = None,
) -> Session:
    """A session on a bundle. ``session.note`` says which backend was chosen and why.

    Args:
        backend: ``triton``, one of :data:`~.registry.NAMES`, or ``auto``: the first of those that can run
            here.
        precision: one of the bundle's. When None the fastest engine that was built for this device, or FP32
            on ONNX Runtime.
        threshold: replaces the manifest's.
        presence: the operating point, replaces the manifest's; 0 shows every mask.
        threads: CPU threads.
        url: ``HOST:PORT`` of the Triton server, for ``triton`` alone.

    Raises:
        InputError: unknown backend or precision, a changed file, a threshold outside (0, 1), a presence
            outside [0, 1), or a graph that cuts its mask at another threshold than the manifest's.
        ServerGoneError: the Triton server does not answer, or does not serve the bundle's model.
        GateError: the Triton server gives other answers on golden frames than the tolerance allows.
        MicroAUNetError: the backend fails at a golden frame.
        MissingDependencyError: the backend's package is not installed.
    """
    bundle = bundle if isinstance(bundle, Bundle) else Bundle(bundle)
    manifest = bundle.manifest
    check_operating_point(threshold, presence)
    if not 1 <= threads <= MOST_THREADS:
        raise InputError(f"threads {threads} is not a number from 1 to {MOST_THREADS}")
    if precision is not None and precision not in PRECISIONS:
        raise InputError(f"precision {precision!r} is not known: use one of {', '.join(PRECISIONS)}")
    if backend == "auto" and url is None:
        backend, why = registry.choose(bundle, precision)
    else:
        why = "as requested"
    opened = registry.load(backend, url).open(bundle, precision, threads)
    try:
        _check_threshold(bundle, opened)
    except BaseException:
        opened.close()
        raise
    note = f"{backend} {opened.precision}, {why}" + (f"; {opened.note}" if opened.note else "")
    return Session(
        opened,
        manifest.height,
        manifest.width,
        threshold=manifest.threshold if threshold is None else threshold,
        presence=manifest.presence if presence is None else presence,
        note=note,
    )


def check_operating_point(threshold: float | None, presence: float | None) -> None:
    """Raise InputError for a threshold outside (0, 1) or a presence outside [0, 1); None is no choice."""
    if threshold is not None and not 0 < threshold < 1:
        raise InputError(f"threshold {threshold} is not between 0 and 1")
    if presence is not None and not 0 <= presence < 1:
        raise InputError(f"presence {presence} is not from 0 (show every mask) to below 1")


def _check_threshold(bundle: Bundle, backend: Backend) -> None:
    """Check on a golden frame that the graph cuts its mask at the manifest's threshold.

    Raises:
        InputError: it cuts at another threshold.
        MicroAUNetError: the backend failed, or gave what is no probability and no mask.
    """
    threshold = bundle.manifest.threshold
    golden = bundle.golden()
    near = np.abs(golden.probability - threshold) < 0.1  # where another threshold would show
    frame = golden.frames[int(near.sum(axis=(1, 2, 3)).argmax())]
    outputs = backend.infer(frame[None])
    check_outputs(outputs)
    probability = outputs.probability
    clear = np.abs(probability - threshold) > _SLACK
    if ((probability > threshold) != outputs.mask)[clear].any():
        raise InputError(
            f"{bundle.folder}: the manifest says threshold {threshold:g}, but the {backend.precision} graph "
            "cuts its mask elsewhere: export the bundle again; --threshold replaces the bundle's"
        )

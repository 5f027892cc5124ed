"""The overlay in a window. Windows belong to the main thread: the sink takes results, ``tick`` shows."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

import numpy as np

from ...errors import InputError
from ...images.overlay import draw_warning
from ...optional import opencv
from ..result import Result

_NAME = "microaunet - not for clinical use"
_QUIT = (ord("q"), 27)  # q, Escape
_LARGEST = (1280, 720)  # pixels of a window when it opens


class Window:
    """Shows the newest overlay; if no newer one comes in time, the picture says so.

    Args:
        stale_ms: a picture shown for longer than this is marked.
        quit_run: is called when the user closes the window or presses q or Escape.

    Raises:
        InputError: no display, or an OpenCV without windows.
    """

    title = "window"
    wants_overlay = True

    def __init__(self, stale_ms: float, quit_run: Callable[[], None]) -> None:
        # Qt ends the whole process when it finds no display, so this is checked first.
        if sys.platform.startswith("linux") and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
            raise InputError("--show needs a display (DISPLAY is not set): leave it out, or use ssh -X")
        cv2 = opencv()
        try:
            cv2.namedWindow(_NAME, cv2.WINDOW_NORMAL | cv2.WINDOW_GUI_NORMAL)
        except cv2.error as error:
            raise InputError(
                "this OpenCV cannot open windows: install opencv-python, not -headless"
            ) from error
        self._stale_ms = stale_ms
        self._quit_run = quit_run
        self._latest: Result | None = None
        self._shown: Result | None = None
        self._shown_at = 0.0

    def write(self, result: Result) -> None:
        """Take a result; the previous one is dropped if it was not shown yet."""
        self._latest = result

    def close(self) -> None:
        """The window stays until :meth:`end`, in the main thread."""

    def tick(self) -> None:
        """Show what is new, or mark what has become old; from the main thread."""
        cv2 = opencv()
        now = time.perf_counter()
        latest = self._latest
        if latest is not None and latest is not self._shown:
            picture = displayed(latest)
            if self._shown is None:
                self._fit(picture)
            self._shown, self._shown_at = latest, now
            cv2.imshow(_NAME, picture)
        elif self._shown is not None and (now - self._shown_at) * 1e3 > self._stale_ms:
            cv2.imshow(_NAME, displayed(self._shown, waited_s=now - self._shown_at))
        if cv2.waitKey(1) & 0xFF in _QUIT or cv2.getWindowProperty(_NAME, cv2.WND_PROP_VISIBLE) < 1:
            self._quit_run()

    def _fit(self, picture: np.ndarray) -> None:
        """Open at the picture's size, limited to what most screens hold; the user may resize it."""
        height, width = picture.shape[:2]
        scale = min(1.0, _LARGEST[0] / width, _LARGEST[1] / height)
        opencv().resizeWindow(_NAME, round(width * scale), round(height * scale))

    def end(self) -> None:
        """Close the window; from the main thread."""
        opencv().destroyAllWindows()


def displayed(result: Result, waited_s: float = 0.0) -> np.ndarray:
    """The picture for the screen, uint8 (h, w, 3) BGR; after a wait it says that it is old."""
    assert result.overlay is not None
    picture = result.overlay if result.frame.bgr else np.ascontiguousarray(result.overlay[..., ::-1])
    if waited_s:
        picture = picture.copy()
        draw_warning(picture, f"NO NEW FRAME FOR {waited_s:.1f} s", bgr=True)
    return picture

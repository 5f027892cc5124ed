"""A camera of rendered frames whose connection is lost repeatedly."""

from __future__ import annotations

import time

import numpy as np

from microaunet_runtime.images.synthetic import frame as synthetic_frame
from microaunet_runtime.stream.events import Events
from microaunet_runtime.stream.sources.live import LiveSource

HEIGHT, WIDTH = 120, 160
STALL_S = 1.0
BACK_OFF_S = (0.1, 1.0)


class SimulatedCamera:
    """Gives ``frames`` pictures, ``fps`` a second, over connections that are lost after ``together`` of them.

    Attributes:
        given: pictures until now.
    """

    def __init__(self, frames: int, fps: float, together: int) -> None:
        self.frames = frames
        self.fps: float | None = fps
        self.together = together
        self.given = 0
        self.connections = 0
        self.pictures = [
            np.ascontiguousarray(synthetic_frame(seed, HEIGHT, WIDTH, polyps=seed % 3)[0][..., ::-1])
            for seed in range(16)
        ]

    def source(self, events: Events) -> LiveSource:
        """The camera as a source that reconnects by itself."""
        return LiveSource("camera", lambda: _Connection(self), events, stall_s=STALL_S, back_off_s=BACK_OFF_S)


class _Connection:
    """One connection: every other one ends with an error, the rest stop sending first."""

    def __init__(self, camera: SimulatedCamera) -> None:
        camera.connections += 1
        self.fps = camera.fps
        self.endless = True
        self._camera = camera
        self._silent = camera.connections % 2 == 0
        self._left = camera.together
        self._due = time.perf_counter()

    def read(self) -> np.ndarray | None:
        """The next picture, uint8 (120, 160, 3) BGR, when it is due; None when the connection is lost."""
        camera = self._camera
        if camera.given >= camera.frames:
            self.endless = False
            return None
        if not self._left:
            if self._silent:
                time.sleep(1.5 * STALL_S)
            return None
        self._left -= 1
        self._due = max(self._due + 1 / (camera.fps or 1.0), time.perf_counter() - 0.1)
        time.sleep(max(0.0, self._due - time.perf_counter()))
        camera.given += 1
        return camera.pictures[camera.given % len(camera.pictures)].copy()

    def release(self) -> None:
        """Nothing is held."""

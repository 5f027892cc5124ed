"""Progress of a build, which can be stopped."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..inference.tensorrt.versions import TensorRT

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@contextmanager
def followed(trt: TensorRT, progress: Progress | None) -> Iterator[Any | None]:
    """Yield a progress monitor for one build, or None where this TensorRT has none.

    Ctrl-C stops the build at its next step and is raised once the builder has returned: an exception inside a
    monitor would pass through C++ code that cannot carry it.
    """
    base = trt.progress_monitor
    if base is None:
        yield None
        return
    stop = threading.Event()
    monitor = _monitor(base, progress, stop)
    handles_signals = threading.current_thread() is threading.main_thread()
    previous = signal.signal(signal.SIGINT, lambda *_: stop.set()) if handles_signals else None
    try:
        yield monitor
    finally:
        if handles_signals:
            signal.signal(signal.SIGINT, previous)
        monitor.finish_all()
        if stop.is_set():
            raise KeyboardInterrupt


def _monitor(base: Any, progress: Progress | None, stop: threading.Event) -> Any:
    class Monitor(base):
        """Shows every phase of the build as one bar. TensorRT calls it from several threads."""

        def __init__(self) -> None:
            base.__init__(self)
            self._tasks: dict[str, TaskID] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if progress is not None:
                self._tasks[phase_name] = progress.add_task(phase_name, total=num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if progress is not None and phase_name in self._tasks:
                progress.update(self._tasks[phase_name], completed=step + 1)
            return not stop.is_set()

        def phase_finish(self, phase_name: str) -> None:
            if progress is not None and (task := self._tasks.pop(phase_name, None)) is not None:
                progress.remove_task(task)

        def finish_all(self) -> None:
            for phase in list(self._tasks):
                self.phase_finish(phase)

    return Monitor()

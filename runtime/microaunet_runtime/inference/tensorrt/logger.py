"""The logger of TensorRT, one per process, and the last errors reported through it.

TensorRT keeps the first logger that it is given and ignores all later ones. Polygraphy makes one of its own,
so here both get whichever came first; errors are collected from either.
"""

from __future__ import annotations

import logging
import re
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

from .versions import TensorRT

_ERRORS: deque[str] = deque(maxlen=64)


def logger(trt: TensorRT) -> Any:
    """The logger to give to TensorRT: Polygraphy's when it has made one, else the project's own for both."""
    polygraphy: Any = sys.modules.get("polygraphy.backend.trt.util")
    if polygraphy is None:
        return _own(trt)
    if polygraphy.TRT_LOGGER is None:
        polygraphy.TRT_LOGGER = _own(trt)
    return polygraphy.TRT_LOGGER


@contextmanager
def heard(trt: TensorRT) -> Iterator[deque[str]]:
    """Collect what TensorRT and Polygraphy report as errors from now on, oldest first; nothing is printed."""
    logger(trt)
    _ERRORS.clear()
    with ExitStack() as stack:
        if polygraphy := sys.modules.get("polygraphy.logger"):
            stack.enter_context(_polygraphy_heard(polygraphy.G_LOGGER))
        yield _ERRORS


def last_errors() -> str:
    """The last errors in one line, for a call that failed outside of :func:`heard`."""
    return explained(_ERRORS)


def explained(errors: deque[str]) -> str:
    """``errors`` in one line, each once."""
    texts = (re.sub(r"\s+", " ", error).strip() for error in errors)
    plain = (text.removeprefix("[E] ").removeprefix("[!] ") for text in texts)
    return "; ".join(dict.fromkeys(plain)) or "no reason given"


@cache
def _own(trt: TensorRT) -> Any:
    base: Any = trt.module.ILogger
    serious = (trt.module.Logger.INTERNAL_ERROR, trt.module.Logger.ERROR)

    class Collector(base):
        def __init__(self) -> None:
            base.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in serious:
                _ERRORS.append(message)

    return Collector()


@contextmanager
def _polygraphy_heard(polygraphy: Any) -> Iterator[None]:
    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR:
                _ERRORS.append(record.getMessage())

    python_logger = logging.getLogger("Polygraphy")
    collector, propagated, used = Collector(), python_logger.propagate, polygraphy.use_python_logging_system
    python_logger.addHandler(collector)
    python_logger.propagate = False
    polygraphy.use_python_logging_system = True
    polygraphy.colors = False  # with colours it asks for another package
    try:
        with polygraphy.verbosity(polygraphy.ERROR):
            yield
    finally:
        polygraphy.use_python_logging_system = used
        python_logger.propagate = propagated
        python_logger.removeHandler(collector)

"""What a decoder complains of: libjpeg and libtiff fill damaged parts with grey and report that only on
standard error.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

# Of libjpeg and libtiff: data that does not decode. Their other warnings are about colour profiles and tags.
_DAMAGE = re.compile(
    r"Corrupt JPEG data: (?!bad ICC).*|Premature end of JPEG file|Inconsistent progression .*"
    r"|TIFF_Error .*|TIFF_Warning \w+Decode: .*"
)

_STANDARD_ERROR = 2
_lock = threading.Lock()


@contextmanager
def complaints() -> Iterator[list[str]]:
    """A list of what decoders complained of inside the context, filled when the context ends.

    Standard error belongs to the whole process: what other threads write there is passed on when the
    context ends. There is one context at a time; others wait.
    """
    found: list[str] = []
    with _lock, _memory() as heard:
        try:
            before = os.dup(_STANDARD_ERROR)
        except OSError:  # it is closed: nothing can be heard
            yield found
            return
        os.dup2(heard.fileno(), _STANDARD_ERROR)
        try:
            yield found
        finally:
            os.dup2(before, _STANDARD_ERROR)
            os.close(before)
            heard.seek(0)
            for line in heard.readlines():
                if damage := _DAMAGE.search(line.decode(errors="replace")):
                    found.append(damage[0].strip())
                else:
                    os.write(_STANDARD_ERROR, line)


def _memory() -> IO[bytes]:
    """A file in memory, where the system has such files."""
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("complaints"), "w+b", buffering=0)  # noqa: PTH123 (it has no path)
    return tempfile.TemporaryFile(buffering=0)

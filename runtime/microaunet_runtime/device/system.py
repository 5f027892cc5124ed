"""Files and tools of the system, read without failing: None stands for what is missing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def read_text(path: Path, lines: int | None = None) -> str | None:
    """The text of a system file (its first ``lines``), or None when there is none that can be read."""
    try:
        text = path.read_text(errors="replace").strip("\0\n ")
    except OSError:
        return None
    return "\n".join(text.splitlines()[:lines]) or None


def read_int(path: Path) -> int | None:
    """The whole number in a system file, or None."""
    text = read_text(path)
    try:
        return int(text) if text else None
    except ValueError:
        return None


def command_output(*command: str) -> str | None:
    """The output of a system tool, or None if it is missing, fails, or takes more than five seconds."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None

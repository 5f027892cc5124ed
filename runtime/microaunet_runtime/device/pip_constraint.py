"""The constraint that keeps numpy 2 out of an environment that uses JetPack's OpenCV, built for numpy 1.

Without it ``pip install`` of almost anything brings numpy 2, which hides JetPack's numpy from that OpenCV.
"""

from __future__ import annotations

import configparser
import os
import re
from pathlib import Path

from .system import read_text


def constrain(prefix: Path) -> str:
    """The shell command after which every ``pip install`` in the environment at ``prefix`` keeps numpy 1.

    No quotes: pip takes a space in the path of a constraint for its end, so such an environment has none.
    """
    file = prefix / "constraints.txt"
    return (
        f"printf 'numpy<2\\n' > {file} && printf '[install]\\nconstraint = {file}\\n' > {prefix / 'pip.conf'}"
    )


def constrained(prefix: Path) -> str:
    """The file that keeps numpy below 2 for pip in the environment at ``prefix``; empty when none does."""
    configured = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        configured.read_string(read_text(prefix / "pip.conf") or "")
    except configparser.Error:
        return ""
    named = [configured.get(section, "constraint", fallback="") for section in ("install", "global")]
    for file in " ".join([*named, os.environ.get("PIP_CONSTRAINT", "")]).split():
        if re.search(r"(?m)^\s*numpy\s*(<\s*2|==\s*1\.|~=\s*1\.)", read_text(Path(file)) or ""):
            return file
    return ""

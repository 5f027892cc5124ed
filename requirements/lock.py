"""``make lock``: write the hashes of what ``make`` installs, from pyproject.toml and constraints.txt.

    locked.txt   what is installed everywhere
    cuda.txt     what torch needs besides where it is the CUDA build, as on PyPI for Linux
    sbom.txt     the tool that lists what was installed

Resolved by uv for all platforms from Python 3.11 on. torch-cpu.txt is written by hand: PyTorch's CPU wheel,
which is not on PyPI and is taken where pip finds it. A new version of torch needs new hashes there:

    pip download --no-deps --index-url https://download.pytorch.org/whl/cpu torch==VERSION
    pip hash torch-*.whl
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
OLDEST_PYTHON = "3.11"

_CUDA = re.compile(r"nvidia-|cuda-toolkit=|triton=")
_HEAD = "# Written by `make lock`: change pyproject.toml or constraints.txt and run that again.\n"


def resolve(*source: str, given: str = "") -> list[str]:
    """The packages that ``source`` asks for, one string each with its hashes, in the order of their names."""
    options = ["--universal", "--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
    done = subprocess.run(
        [sys.executable, "-m", "uv", "pip", "compile", *options, "--python-version", OLDEST_PYTHON, *source],
        cwd=HERE.parent,
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    return re.split(r"\n(?=\S)", done.stdout.strip())


def main() -> None:
    """Write the three files."""
    extras = ["--extra", "all", "--extra", "dev"]
    packages = resolve("--constraint", "constraints.txt", *extras, "pyproject.toml")
    cuda = [one for one in packages if _CUDA.match(one)]
    for name, content in (
        ("locked.txt", [one for one in packages if one not in cuda]),
        ("cuda.txt", cuda),
        ("sbom.txt", resolve("-", given="cyclonedx-bom")),
    ):
        (HERE / name).write_text(_HEAD + "\n".join(content) + "\n")


if __name__ == "__main__":
    main()

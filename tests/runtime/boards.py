"""A Jetson that exists only as files: what its kernel and its tools say, below a folder."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from microaunet_runtime.device import clocks, doctor, environment, power_mode

NANO_SUPER = """\
< POWER_MODEL ID=0 NAME=15W >
CPU_ONLINE CORE_0 1
< POWER_MODEL ID=1 NAME=25W >
< POWER_MODEL ID=2 NAME=MAXN_SUPER >
< POWER_MODEL ID=3 NAME=7W >
< PM_CONFIG DEFAULT=1 >
"""


class Board:
    """Writes the files that the code reads, and takes their place for one test."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root = root
        for module, name, place in (
            (clocks, "CPUS", "cpu"),
            (clocks, "DEVFREQ", "devfreq"),
            (clocks, "EMC", "emc"),
            (clocks, "THERMAL", "thermal"),
            (clocks, "TEGRA_RELEASE", "nv_tegra_release"),
            (environment, "TEGRA_RELEASE", "nv_tegra_release"),
            (doctor, "TEGRA_RELEASE", "nv_tegra_release"),
            (doctor, "NVGPU", "nvgpu"),
            (power_mode, "CONFIG", "nvpmodel.conf"),
        ):
            patch.setattr(module, name, root / place)
        (root / "bin").mkdir()
        patch.setenv("PATH", str(root / "bin"), prepend=":")

    def write(self, **files: object) -> None:
        """Write files; ``__`` in a name stands for a slash, a leading ``_`` is dropped."""
        for name, content in files.items():
            path = self.root / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{content}\n")

    def cpu(self, low_khz: int, high_khz: int) -> None:
        """One CPU with these limits."""
        folder = "cpu__cpu0__cpufreq__scaling_"
        self.write(
            **{f"{folder}min_freq": low_khz, f"{folder}max_freq": high_khz, f"{folder}cur_freq": high_khz}
        )
        self.write(**{f"{folder}governor": "schedutil"})

    def gpu(self, low_hz: int, high_hz: int, name: str = "17000000.gpu") -> None:
        """A GPU with these limits, which runs at the lower one."""
        folder = f"devfreq__{name}__"
        self.write(**{f"{folder}min_freq": low_hz, f"{folder}max_freq": high_hz, f"{folder}cur_freq": low_hz})

    def tool(self, name: str, output: str) -> None:
        """A program that prints ``output``."""
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    """A board without any file yet."""
    (tmp_path / "board").mkdir()
    return Board(tmp_path / "board", monkeypatch)

"""Lines that boards print, and a meter against a stand-in for tegrastats."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest

from microaunet_runtime.device.power import PowerMeter, total_power_mw
from microaunet_runtime.errors import InputError

ORIN = (
    "11-23-2026 10:00:00 RAM 2000/7620MB (lfb 2x4MB) CPU [10%@1728,0%@1728] GR3D_FREQ 0% cpu@45C "
    "VDD_IN 5012mW/4990mW VDD_CPU_GPU_CV 1200mW/1190mW VDD_SOC 1400mW/1399mW"
)
NANO = "RAM 1200/3956MB CPU [5%@1479] POM_5V_GPU 0/0 POM_5V_IN 2216/2216 POM_5V_CPU 369/369"


AGX = "CPU [5%@1479] VDD_GPU_SOC 20400mW/20100mW VDD_CPU_CV 2800mW/2800mW VIN_SYS_5V0 5542mW/5500mW"


@pytest.mark.parametrize(
    ("line", "milliwatts"),
    [
        (ORIN, 5012.0),
        (NANO, 2216.0),
        (AGX, 28742.0),
        ("VIN_SYS_5V0 5542mW/5500mW", None),
        (f"{AGX} VIN 31000mW/30000mW", 31000.0),
        ("RAM 1200/3956MB GR3D_FREQ 0%", None),
    ],
)
def test_the_rail_of_the_whole_module_is_read(line: str, milliwatts: float | None) -> None:
    assert total_power_mw(line) == milliwatts


def fake_tegrastats(folder: Path, line: str) -> None:
    tool = folder / "tegrastats"
    tool.write_text(f"#!/bin/sh\nwhile true; do echo '{line}'; sleep 0.01; done\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)


def test_power_and_energy_per_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tegrastats(tmp_path, ORIN)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with PowerMeter() as meter:
        time.sleep(0.2)
    figures = meter.figures(fps=50.0)
    assert figures["milliwatts"]["p50"] == 5012  # type: ignore[index]
    assert figures["mj_per_frame"] == pytest.approx(100.24)


def test_a_board_without_the_rail_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tegrastats(tmp_path, "RAM 1200/3956MB")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with PowerMeter() as meter:
        time.sleep(0.1)
    with pytest.raises(InputError, match="no total power"):
        meter.figures(fps=50.0)


def test_without_tegrastats_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="leave --power out"), PowerMeter():
        pass

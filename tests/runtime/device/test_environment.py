"""The environment is told on any machine and names nobody."""

from __future__ import annotations

import getpass
import json
import platform
import stat
from pathlib import Path

import pytest

from microaunet_runtime.device import environment


def test_it_is_json_and_names_what_a_timing_depends_on() -> None:
    facts = environment.environment(backend="onnxruntime", threads=1)
    text = json.dumps(facts, allow_nan=False)
    assert facts["device"]
    assert facts["threads"] == 1
    assert facts["versions"]["numpy"]
    assert {"power_mode", "clocks", "gpu", "l4t", "load_average"} <= set(facts)
    assert platform.node() not in text or len(platform.node()) < 4
    assert f"/{getpass.getuser()}" not in text


def test_a_jetsons_power_mode_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvpmodel"
    tool.write_text("#!/bin/sh\necho 'NV Power Mode: MAXN_SUPER'\necho 2\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    facts = environment.environment(backend="tensorrt", threads=1)
    assert facts["power_mode"] == "NV Power Mode: MAXN_SUPER\n2"


def test_a_tool_that_fails_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvpmodel"
    tool.write_text("#!/bin/sh\nexit 1\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert environment.command_output("nvpmodel", "-q") is None
    assert environment.command_output("no-such-tool-here") is None


@pytest.mark.parametrize(("low", "high", "locked"), [(1728000, 1728000, True), (115200, 1728000, False)])
def test_locked_clocks_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, low: int, high: int, locked: bool
) -> None:
    policy = tmp_path / "cpu0" / "cpufreq"
    policy.mkdir(parents=True)
    for name, content in (
        ("scaling_min_freq", low),
        ("scaling_max_freq", high),
        ("scaling_governor", "schedutil"),
    ):
        (policy / name).write_text(f"{content}\n")
    monkeypatch.setattr(environment, "_CPUS", tmp_path)
    expected = {"governor": "schedutil", "min_mhz": low // 1000, "max_mhz": high // 1000, "locked": locked}
    assert environment.clocks() == expected

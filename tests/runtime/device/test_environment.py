"""The environment is told on any machine and names nobody."""

from __future__ import annotations

import getpass
import json
import platform

from boards import Board

from microaunet_runtime.device import environment


def test_it_is_json_and_names_what_a_timing_depends_on() -> None:
    facts = environment.environment(backend="onnxruntime", threads=1)
    text = json.dumps(facts, allow_nan=False)
    assert facts["device"]
    assert facts["threads"] == 1
    assert facts["versions"]["numpy"]
    assert {"power_mode", "clocks", "temperatures_c", "gpu", "l4t", "load_average"} <= set(facts)
    assert platform.node() not in text or len(platform.node()) < 4
    assert f"/{getpass.getuser()}" not in text


def test_a_jetsons_power_mode_clocks_and_heat_are_read(board: Board) -> None:
    board.tool("nvpmodel", "NV Power Mode: MAXN_SUPER\n2")
    board.write(nv_tegra_release="# R36 (release), REVISION: 4.3")
    board.cpu(1_728_000, 1_728_000)
    board.gpu(306_000_000, 1_020_000_000)
    board.write(thermal__thermal_zone0__type="cpu-thermal", thermal__thermal_zone0__temp=51_375)
    board.write(thermal__thermal_zone1__type="cv0-thermal", thermal__thermal_zone1__temp=-256_000)
    facts = environment.environment(backend="tensorrt", threads=1)
    assert facts["power_mode"] == "NV Power Mode: MAXN_SUPER\n2"
    assert facts["l4t"].startswith("# R36")
    assert facts["clocks"]["gpu"] == {"min_mhz": 306, "max_mhz": 1020, "current_mhz": 306, "locked": False}
    assert facts["clocks"]["locked"] is False
    assert facts["temperatures_c"] == {"cpu-thermal": 51.4}

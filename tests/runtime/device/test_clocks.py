"""What counts as locked: the CPU's clock alone does not."""

from __future__ import annotations

import pytest
from boards import Board

from microaunet_runtime.device.clocks import clocks, memory_clock, temperatures
from microaunet_runtime.device.system import command_output

LOCKED_CPU, FREE_CPU = (1_728_000, 1_728_000), (115_200, 1_728_000)
LOCKED_GPU, FREE_GPU = (1_020_000_000, 1_020_000_000), (306_000_000, 1_020_000_000)


@pytest.mark.parametrize(
    ("cpu", "gpu", "locked"),
    [
        (LOCKED_CPU, LOCKED_GPU, True),
        (LOCKED_CPU, FREE_GPU, False),
        (FREE_CPU, LOCKED_GPU, False),
        (LOCKED_CPU, None, None),  # a Jetson whose GPU's clock nobody knows
    ],
)
def test_a_jetson_is_locked_when_its_gpu_is(
    board: Board, cpu: tuple[int, int], gpu: tuple[int, int] | None, locked: bool | None
) -> None:
    board.write(nv_tegra_release="# R36 (release), REVISION: 4.3")
    board.cpu(*cpu)
    if gpu:
        board.gpu(*gpu)
    assert clocks()["locked"] is locked


def test_a_pc_is_locked_when_its_cpu_is(board: Board) -> None:
    board.cpu(*LOCKED_CPU)
    found = clocks()
    assert found["locked"] is True
    assert found["cpu"] == {"min_mhz": 1728, "max_mhz": 1728, "current_mhz": 1728, "locked": True}
    assert found["governor"] == "schedutil"


def test_a_machine_that_tells_nothing_is_unknown(board: Board) -> None:
    found = clocks()
    assert found["locked"] is None
    assert temperatures() == {}


def test_thors_two_gpu_clocks_count_together(board: Board) -> None:
    board.gpu(*LOCKED_GPU, name="gpu-gpc-0")
    board.gpu(*FREE_GPU, name="gpu-nvd-0")
    board.gpu(1, 2, name="15340000.vic")  # no GPU
    assert clocks()["gpu"] == {"min_mhz": 306, "max_mhz": 1020, "current_mhz": 1020, "locked": False}


def test_the_memory_clock_is_locked_by_its_override(board: Board) -> None:
    assert memory_clock() is None  # only root may read it
    board.write(emc__min_rate=204_000_000, emc__max_rate=3_199_000_000, emc__rate=3_199_000_000)
    board.write(emc__mrq_rate_locked=1)
    clock = memory_clock()
    assert clock is not None
    assert (clock.current_mhz, clock.locked) == (3199, True)
    board.write(emc__mrq_rate_locked=0)
    assert clocks()["locked"] is False


def test_a_pcs_gpu_is_asked_of_nvidia_smi(board: Board) -> None:
    board.tool("nvidia-smi", "1410, 1980, 44")
    assert clocks()["gpu"] == {"min_mhz": None, "max_mhz": 1980, "current_mhz": 1410, "locked": None}
    assert temperatures() == {"gpu": 44.0}
    board.tool("nvidia-smi", "[N/A], [N/A], [N/A]")
    assert clocks()["gpu"] is None
    assert temperatures() == {}


def test_a_tool_that_fails_is_none(board: Board) -> None:
    board.tool("nvpmodel", "")
    (board.root / "bin" / "nvpmodel").write_text("#!/bin/sh\nexit 1\n")
    assert command_output("nvpmodel", "-q") is None
    assert command_output("no-such-tool-here") is None

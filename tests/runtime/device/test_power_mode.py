"""A mode's number is read from the board's own list: it means something else on each board."""

from __future__ import annotations

import pytest
from boards import NANO_SUPER, Board

from microaunet_runtime.device.power_mode import parse, power_modes

ORIN_NX = (
    "< POWER_MODEL ID=0 NAME=MAXN_SUPER >\n< POWER_MODEL ID=1 NAME=10W >\n< POWER_MODEL ID=2 NAME=15W >\n"
)
XAVIER_LIKE = "< POWER_MODEL ID=1 NAME=MODE_10W_2CORE >\n< POWER_MODEL ID=2 NAME=MODE_15W_6CORE >\n"


@pytest.mark.parametrize(
    ("configuration", "strongest"), [(NANO_SUPER, 2), (ORIN_NX, 0), (XAVIER_LIKE, 2), ("", None)]
)
def test_the_strongest_mode_is_found_by_name(configuration: str, strongest: int | None) -> None:
    assert parse(configuration, "").strongest == strongest


def test_the_boards_modes_and_the_one_that_is_on(board: Board) -> None:
    assert power_modes() is None
    board.write(**{"nvpmodel.conf": NANO_SUPER})
    board.tool("nvpmodel", "NV Power Mode: 15W\n0")
    modes = power_modes()
    assert modes is not None
    assert modes.current == 0
    assert modes.title == "15W (0 of 0 15W, 1 25W, 2 MAXN_SUPER, 3 7W)"


def test_without_a_configuration_the_mode_that_is_on_is_still_told() -> None:
    assert parse("", "NV Power Mode: MAXN_SUPER\n2").title == "MAXN_SUPER (2 of 2 MAXN_SUPER)"

"""``--list-weights`` says what ships and how well it does, as the cards say it."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from microaunet.checkpoint import SHIPPED, shipped
from microaunet_export import zoo
from microaunet_export.commands.export import app


def test_all_shipped_weights_are_listed_with_their_cards_figures() -> None:
    found = {entry.name: entry for entry in zoo.entries()}
    assert sorted(found) == shipped()
    card = json.loads((SHIPPED / "kvasir.json").read_text())
    assert found["kvasir"].dice["kvasir_test"] == card["figures"]["kvasir_test"]["dice_image"]["mean"]
    assert found["kvasir"].parameters == card["parameters"]


def test_the_command_prints_them_and_ends_without_an_export() -> None:
    result = CliRunner().invoke(app, ["--list-weights"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    for entry in zoo.entries():
        (row,) = [line for line in result.output.splitlines() if line.split()[:1] == [entry.name]]
        assert f"{entry.parameters:,}" in row
        assert all(f"{set_} {value:.3f}" in row for set_, value in entry.dice.items())

"""One name for one thing: whoever searches for a class finds one place."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("microaunet", "export/microaunet_export", "runtime/microaunet_runtime", "benchmarks")


def test_no_two_public_classes_share_a_name() -> None:
    places = defaultdict(list)
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places[node.name].append(str(path.relative_to(ROOT)))
    assert len(places) > 50
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_two_packages_have_a_module_of_one_name() -> None:
    places = defaultdict(set)
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            if not path.stem.startswith("__"):
                places[path.stem].add(package)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}

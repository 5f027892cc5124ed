"""Whatever a calibration file holds: ranges or one InputError."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("onnx")

from microaunet_export.range_file import load
from microaunet_runtime.errors import InputError

VALID: dict[str, Any] = {
    "weights_sha256": "0" * 64,
    "graph_sha256": "1" * 64,
    "method": "percentile",
    "methods": {"percentile": 0.99},
    "images": 256,
    "images_sha256": "2" * 64,
    "equalisation": {"stem": [0, 1, 2]},
    "convolutions": {"stem": [0.0, 255.0], "head": [-3.5, 4.25]},
    "in_float": {"head": 0.001},
    "mask_agreement": 0.99,
    "schema": 1,
}
NUMBERS = st.integers() | st.integers(10**308, 10**320) | st.floats() | st.booleans()
JSON = st.recursive(
    st.none() | NUMBERS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranges") / "fuzzed.ranges.json"


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where everything in a JSON value is."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, each in inner for place in places(each, (*at, key)))]


def replaced(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    if not at:
        return new
    copy = value.copy()
    copy[at[0]] = replaced(copy[at[0]], at[1:], new)
    return copy


def fuzz(file: Path, data: st.DataObject) -> None:
    """Anything anywhere in a valid file, or a stretch of its bytes replaced."""
    if data.draw(st.booleans()):
        content: Any = VALID
        for _ in range(data.draw(st.integers(1, 3))):
            content = replaced(content, data.draw(st.sampled_from(places(content))), data.draw(JSON))
        text = json.dumps(content).encode()
    else:
        text = json.dumps(VALID).encode()
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(st.binary(max_size=20)) + text[at + data.draw(st.integers(0, 40)) :]
    file.write_bytes(text)
    with suppress(InputError):
        for low, high in load(file).convolutions.values():
            assert math.isfinite(low)
            assert low <= high


def cases(count: int) -> Any:
    return settings(
        max_examples=count,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
    )


def test_the_file_that_is_fuzzed_is_valid(file: Path) -> None:
    file.write_text(json.dumps(VALID))
    assert load(file).convolutions["head"] == (-3.5, 4.25)


@cases(150)
@given(data=st.data())
def test_any_content_gives_ranges_or_an_input_error(file: Path, data: st.DataObject) -> None:
    fuzz(file, data)


@pytest.mark.slow
@cases(20_000)
@given(data=st.data())
def test_twenty_thousand_files(file: Path, data: st.DataObject) -> None:
    fuzz(file, data)

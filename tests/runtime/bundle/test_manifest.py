"""Whatever ``manifest.json`` holds: a manifest or one InputError, and nothing outside the folder."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redness import write_bundle

from microaunet_runtime import Bundle, InputError
from microaunet_runtime.bundle.manifest import Manifest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = write_bundle(tmp_path_factory.mktemp("valid"))
    content: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return content


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzzed")


def load(folder: Path, content: Any) -> Manifest:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / "manifest.json").write_bytes(text)
    return Manifest.load(folder)


def test_what_was_saved_is_what_is_loaded(tiny_bundle: Path, tmp_path: Path) -> None:
    manifest = Manifest.load(tiny_bundle)
    manifest.save(tmp_path)
    assert Manifest.load(tmp_path) == manifest


def test_a_newer_schema_says_upgrade(folder: Path, valid: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"schema 5, .* up to 4: upgrade microaunet"):
        load(folder, {**valid, "schema": 5, "field_of_the_future": 1})


def test_a_bundle_from_before_presence_is_to_be_exported_again(folder: Path, valid: dict[str, Any]) -> None:
    before = {key: value for key, value in valid.items() if key != "stabilised_presence"}
    with pytest.raises(InputError, match="no output for presence: export the bundle again"):
        load(folder, {**before, "schema": 3})


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "/etc/passwd",
        "a/b.onnx",
        "..",
        ".hidden",
        "",
        "a\\b",
        "nul\0",
        "é.onnx",
        "x" * 200,
        "a\n",
        None,
        7,
    ],
)
def test_a_file_name_cannot_leave_the_folder(folder: Path, valid: dict[str, Any], name: Any) -> None:
    for key in ("golden", "artefacts"):
        entry = valid["golden"] if key == "golden" else valid["artefacts"]["fp32"]
        changed = {**entry, "file": name}
        content = {**valid, key: changed if key == "golden" else {"fp32": changed}}
        with pytest.raises(InputError, match="plain name"):
            load(folder, content)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("height", 0),
        ("height", 10**9),
        ("width", 64.0),
        ("width", True),
        ("threshold", 0),
        ("threshold", 1.0),
        ("threshold", "0.5"),
        ("threshold", float("nan")),
        ("presence", None),
        ("presence", 1),
        ("presence", -0.1),
        ("stabilised_presence", "0.5"),
        ("schema", 3),
        ("resize", "letterbox"),
        ("artefacts", {}),
        ("artefacts", {"fp64": {}}),
        ("golden", None),
        ("tolerances", {}),
        ("tolerances", {"fp32": {"mask_agreement": 2}}),
        ("tolerances", {"fp32": {"mask_agreement": 0.9, "dice_image_change": "0.1"}}),
        ("model", []),
        ("schema", None),
        ("schema", "1"),
        ("name", "../x"),
        ("batch", 4),
        ("batch", {"size": 4}),
        ("batch", {"size": 1, "artefacts": {}, "differences": {}, "tolerances": {}}),
        ("batch", {"size": "N", "artefacts": {}, "differences": {}, "tolerances": {}}),
        ("batch", {"size": 4, "artefacts": {}, "differences": {}, "tolerances": {}}),
    ],
)
def test_a_value_out_of_range_is_refused(folder: Path, valid: dict[str, Any], key: str, value: Any) -> None:
    with pytest.raises(InputError, match=r"manifest\.json"):
        load(folder, {**valid, key: value})


def test_a_missing_and_an_unknown_field_are_named(folder: Path, valid: dict[str, Any]) -> None:
    for key in ("name", "height", "artefacts", "golden", "versions"):
        with pytest.raises(InputError, match=f"missing {key}"):
            load(folder, {k: v for k, v in valid.items() if k != key})
    with pytest.raises(InputError, match="unknown field 'extra'"):
        load(folder, {**valid, "extra": 1})


def test_no_folder_and_no_manifest_say_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--bundle"):
        Bundle(tmp_path / "nothing")
    with pytest.raises(InputError, match="microaunet-export"):
        Bundle(tmp_path)


def test_a_huge_or_deep_file_is_refused_at_once(folder: Path) -> None:
    with pytest.raises(InputError, match="larger than"):
        load(folder, b" " * (5 << 20))
    with pytest.raises(InputError, match="not valid JSON"):
        load(folder, b"[" * 200_000)


def fuzz(folder: Path, content: Any) -> None:
    """Load and open ``content``: a bundle or an InputError, nothing else."""
    with suppress(InputError):
        load(folder, content)
        Bundle(folder).check()


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where everything in a JSON value is."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, each in inner for path in paths(each, (*at, key)))]


def replaced(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    if not at:
        return new
    copy = value.copy()
    copy[at[0]] = replaced(copy[at[0]], at[1:], new)
    return copy


def cases(count: int) -> Any:
    return settings(
        max_examples=count,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
    )


def fuzz_values(folder: Path, valid: dict[str, Any], data: st.DataObject) -> None:
    """Anything anywhere in a valid manifest."""
    content = valid
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.sampled_from(paths(content)))
        content = replaced(content, at, data.draw(JSON))
    fuzz(folder, content)


def fuzz_bytes(folder: Path, valid: dict[str, Any], data: st.DataObject) -> None:
    """A valid file with a stretch of bytes replaced."""
    text = json.dumps(valid).encode()
    start = data.draw(st.integers(0, len(text)))
    fuzz(
        folder,
        text[:start] + data.draw(st.binary(max_size=20)) + text[start + data.draw(st.integers(0, 40)) :],
    )


@cases(150)
@given(data=st.data())
def test_any_value_gives_a_manifest_or_an_input_error(
    folder: Path, valid: dict[str, Any], data: st.DataObject
) -> None:
    fuzz_values(folder, valid, data)


@cases(150)
@given(data=st.data())
def test_any_bytes_give_a_manifest_or_an_input_error(
    folder: Path, valid: dict[str, Any], data: st.DataObject
) -> None:
    fuzz_bytes(folder, valid, data)


@pytest.mark.slow
@cases(10_000)
@given(data=st.data())
def test_ten_thousand_values(folder: Path, valid: dict[str, Any], data: st.DataObject) -> None:
    fuzz_values(folder, valid, data)


@pytest.mark.slow
@cases(10_000)
@given(data=st.data())
def test_ten_thousand_stretches_of_bytes(folder: Path, valid: dict[str, Any], data: st.DataObject) -> None:
    fuzz_bytes(folder, valid, data)

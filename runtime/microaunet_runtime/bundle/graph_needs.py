"""What an ONNX file needs, read from its bytes: operators, and whether it refers to other files.

The runtime has no onnx package, and this must be known before any parser runs. A file is protobuf
(https://protobuf.dev/programming-guides/encoding): fields, each a number, a wire type and a payload. Their
numbers are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# Which field of which message holds which message; whatever is not named here is skipped.
_WITHIN = {
    ("model", 7): "graph",
    ("model", 20): "training",
    ("model", 25): "function",
    ("training", 1): "graph",
    ("training", 2): "graph",
    ("function", 7): "node",
    ("function", 11): "attribute",
    ("graph", 1): "node",
    ("graph", 5): "tensor",
    ("graph", 15): "sparse",
    ("node", 5): "attribute",
    ("attribute", 5): "tensor",
    ("attribute", 6): "graph",
    ("attribute", 10): "tensor",
    ("attribute", 11): "graph",
    ("attribute", 22): "sparse",
    ("attribute", 23): "sparse",
    ("sparse", 1): "tensor",
    ("sparse", 2): "tensor",
}
_OP_TYPE, _DOMAIN = 4, 7  # of a node
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of a tensor

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5

FUNCTION = "a function of its own"


@dataclass(frozen=True)
class Needs:
    """The needs of a graph.

    Attributes:
        operators: by name, ``domain.name`` outside ONNX's own; :data:`FUNCTION` where the file defines one.
        external: a tensor's values lie in another file.
    """

    operators: frozenset[str]
    external: bool


def needs(model: bytes) -> Needs:
    """The needs of ``model``, the bytes of an ONNX file, in its main graph and in all graphs inside it.

    Raises:
        ValueError: it is not protobuf as ONNX's writers write it.
    """
    operators: set[str] = set()
    external = False
    waiting = [("model", memoryview(model))]
    while waiting:
        kind, content = waiting.pop()
        types: list[str] = []
        domains: list[str] = []
        for field, value in _fields(content):
            if isinstance(value, memoryview) and (inner := _WITHIN.get((kind, field))):
                waiting.append((inner, value))
            elif kind == "node" and isinstance(value, memoryview) and field in (_OP_TYPE, _DOMAIN):
                (types if field == _OP_TYPE else domains).append(str(value, "utf-8"))
            elif kind == "tensor" and (field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value)):
                external = True
        if kind == "node":
            if len(types) != 1 or len(domains) > 1:  # readers take the last of several without checking
                raise ValueError("a node without one type")
            domain = domains[0] if domains else ""
            operators.add(types[0] if domain in ("", "ai.onnx") else f"{domain}.{types[0]}")
        elif kind == "function":
            operators.add(FUNCTION)
    return Needs(frozenset(operators), external)


def _fields(content: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Number and value of each field: the bytes of one with a length, else a number or 0."""
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        if tag >= 1 << 32:  # C++ readers cut it to 32 bits and would see another field
            raise ValueError("a field number that is too large")
        field, wire = tag >> 3, tag & 7
        value: memoryview | int = 0
        if wire == _VARINT:
            value, at = _varint(content, at)
        elif wire == _LENGTH:
            size, at = _varint(content, at)
            value, at = content[at : at + size], at + size
        elif wire in (_EIGHT_BYTES, _FOUR_BYTES):
            at += 8 if wire == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at > len(content):
            raise ValueError("cut short")
        yield field, value


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and where the next thing begins."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(content):
            raise ValueError("cut short")
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than ten bytes")

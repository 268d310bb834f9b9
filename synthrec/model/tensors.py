"""Arrays of a safetensors file, read only as what they must be: names, types and shapes are known before the file is opened.

Guarantees: the header is compared with the layout before any array is made, so memory is bounded by the layout; no byte of the file
is outside header and arrays; every value keeps the rule of its tensor. Reading runs no code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np

from synthrec.data.outside import plain_json, read_bounded
from synthrec.errors import ReleaseError, printable

LARGEST_HEADER, LARGEST_FILE = 1 << 20, 1 << 29
TYPES = {"F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "I64": np.dtype("<i8"), "I16": np.dtype("<i2")}
SUM_TOLERANCE = 1e-6
Origin = Literal["public", "paid", "post-processing"]


@dataclass(frozen=True)
class Tensor:
    """What one array must be, and whom its values come from.

    `paid_by`: mechanisms of the ledger whose noisy values it was made from. `holds`: any finite numbers, shares that sum to 1 (along
    the last axis, for `rows`; all together, for `shares`), numbers of at least 0, numbers that rise, or codes below `below`.
    """

    kind: str
    shape: tuple[int, ...]
    origin: Origin
    paid_by: tuple[str, ...] = ()
    holds: Literal["finite", "shares", "rows", "positive", "rising", "codes"] = "finite"
    below: int = 0

    @property
    def size_bytes(self) -> int:
        """Length in the file."""
        return prod(self.shape) * TYPES[self.kind].itemsize


@dataclass(frozen=True)
class Difference:
    """Where a file is not as its layout says."""

    name: str
    found: str


def read_tensors(path: Path, *, layout: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """The arrays. Raises ReleaseError, which names the first difference; OSError for a file that cannot be read."""
    content = _content(path, layout=layout)
    for found in _differences(content, layout=layout):
        raise ReleaseError(f"{path.name} must hold the tensors that its schema and plan ask for, and nothing else",
                           found=f"{found.name}: {found.found}", remedy="Copy the release again from where it was made.")
    return _arrays(content, layout=layout)


def differences(path: Path, *, layout: Mapping[str, Tensor]) -> tuple[Difference, ...]:
    """All of them. Raises as `read_tensors` does for what is no such file at all."""
    return tuple(_differences(_content(path, layout=layout), layout=layout))


@dataclass(frozen=True)
class _Content:
    header: dict[str, Any]
    spare: bytes            # of the header, after its JSON
    buffer: memoryview


def _content(path: Path, *, layout: Mapping[str, Tensor]) -> _Content:
    asked = sum(tensor.size_bytes for tensor in layout.values())
    if asked > LARGEST_FILE:
        raise ReleaseError(f"{path.name} may hold at most {LARGEST_FILE:,} bytes", found=f"{asked:,} asked for by generator.json",
                           remedy="Use a smaller catalogue, or get the release again from its owner.")
    content = memoryview(read_bounded(path, most=8 + 2 * LARGEST_HEADER + asked))
    length = int.from_bytes(content[:8], "little")
    try:
        if len(content) < 8 or length > min(LARGEST_HEADER, len(content) - 8):
            raise ValueError
        text = bytes(content[8 : 8 + length])
        header = plain_json(text.rstrip(b" "))
        if not isinstance(header, dict):
            raise ValueError
    except ValueError:
        raise ReleaseError(f"{path.name} must be a safetensors file", found="a header that is none",
                           remedy="Copy the release again from where it was made.") from None
    return _Content(header=header, spare=text[len(text.rstrip(b" ")) :], buffer=content[8 + length :])


def _differences(content: _Content, *, layout: Mapping[str, Tensor]) -> Iterator[Difference]:
    header = content.header
    for name in header.keys() - layout.keys():
        yield Difference(printable(name), "a tensor that no release has")
    for name in layout.keys() - header.keys():
        yield Difference(name, "missing")
    known = [name for name in layout if name in header]
    wrong = [name for name in known if not _as_declared(header[name], layout[name])]
    yield from (Difference(name, "another type or shape, or no description of a tensor") for name in wrong)
    if len(content.spare) >= 8 or not (wrong or header.keys() ^ layout.keys()) and not _covered(content):
        yield Difference("the file", "bytes that belong to no tensor")
    elif not wrong and len(known) == len(header):
        for name in known:
            if not _within(_array(content, name, layout[name]), layout[name]):
                yield Difference(name, f"values that are not {_RULES[layout[name].holds]}")


def _as_declared(said: Any, tensor: Tensor) -> bool:
    if not isinstance(said, dict) or said.keys() != {"dtype", "shape", "data_offsets"}:
        return False
    start = said["data_offsets"][0] if isinstance(said["data_offsets"], list) and said["data_offsets"] else None
    return (said["dtype"] == tensor.kind and said["shape"] == list(tensor.shape) and type(start) is int and start >= 0
            and said["data_offsets"] == [start, start + tensor.size_bytes])


def _covered(content: _Content) -> bool:
    """Do the arrays lie one after the other and fill the file?"""
    end = 0
    for start, past in sorted(said["data_offsets"] for said in content.header.values()):
        if start != end:
            return False
        end = past
    return end == len(content.buffer)


def _array(content: _Content, name: str, tensor: Tensor) -> np.ndarray:
    start, past = content.header[name]["data_offsets"]
    if past > len(content.buffer):
        return np.full(1, np.nan)
    return np.frombuffer(content.buffer[start:past], dtype=TYPES[tensor.kind]).reshape(tensor.shape)


def _arrays(content: _Content, *, layout: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: _array(content, name, tensor).copy() for name, tensor in layout.items()}


_RULES = {"finite": "finite", "shares": "shares that sum to 1", "rows": "rows of shares that sum to 1", "positive": "finite and at least 0",
          "rising": "finite and rising", "codes": "codes of its domain"}


def _within(values: np.ndarray, tensor: Tensor) -> bool:
    if not np.isfinite(values).all():
        return False
    if tensor.holds == "codes":
        return bool(((values >= 0) & (values < tensor.below)).all())
    if tensor.holds == "rising":
        return bool((np.diff(values) >= 0).all())
    if tensor.holds == "positive":
        return bool((values >= 0).all())
    if tensor.holds in ("shares", "rows") and values.size:
        sums = values.sum(axis=-1) if tensor.holds == "rows" else values.sum()
        return bool((values >= 0).all() and (np.abs(sums - 1) <= SUM_TOLERANCE).all())
    return True

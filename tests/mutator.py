"""What spoils a file: its bytes edited, or the values of a JSON or TOML document replaced."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from math import isfinite
from typing import Any

from hypothesis import strategies as st

Edit = tuple[int, int, int, bytes]
GIANTS = [
    b"1e999",
    b"-1e999",
    b"NaN",
    b"Infinity",
    b"9" * 400,
    b"-1",
    b"0",
    b"9" * 5000,
    b"1e308",
    b"null",
    b"[]",
    b"{}",
    b'""',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'"\x1b[2J"',
    b'"../../etc/passwd"',
    b"\xff\xfe",
    b"\x00" * 8,
    b"\xff" * 8,
    b"true",
]
TOKENS = [
    b"0",
    b"1",
    b"2",
    b'"',
    b"[",
    b"]",
    b"{",
    b"}",
    b":",
    b",",
    b"\n",
    b"'",
    b"F64",
    b"shape",
    b"min",
    b"max",
    b"=",
]


def edited(content: bytes, edits: list[Edit]) -> bytes:
    """Each edit: at a place, cut so many bytes, put others there; or put them in place of the next
    number.
    """
    for kind, place, length, put in edits:
        at = place % (len(content) + 1)
        if kind == 0:
            content = content[:at] + put + content[at + length :]
        elif kind == 1:
            content = content[:at] + content[at : at + length] * 2 + content[at + length :]
        elif kind == 2:
            content = content[:at]
        else:
            start = next(
                (
                    spot
                    for spot in range(at, min(at + 400, len(content)))
                    if content[spot : spot + 1].isdigit()
                ),
                None,
            )
            if start is not None:
                end = start
                while content[end : end + 1].isdigit() or content[end : end + 1] in (
                    b".",
                    b"e",
                    b"-",
                ):
                    end += 1
                content = content[:start] + put + content[max(end, start + 1) :]
    return content


@dataclass(frozen=True)
class Twist:
    """What a value becomes that keeps its type, so that it is read further: another number, twice
    or half of a text or a list.
    """

    factor: float

    def of(self, old: Any) -> Any:
        if isinstance(old, bool) or old is None:
            return not old
        if isinstance(old, int | float):
            changed = old * self.factor
            return int(changed) if isinstance(old, int) and isfinite(changed) else changed
        if isinstance(old, dict):
            return dict(list(old.items())[1:])
        return old + old if self.factor > 1 else old[: len(old) // 2]


def replaced(document: Any, changes: list[tuple[int, Any]]) -> Any:
    """Each change: which value of the document, in the order of writing, and what stands there."""
    whole: dict[str, Any] = {"": copy.deepcopy(document)}
    for place, value in changes:
        places = list(_places(whole))
        inside, key = places[place % len(places)]
        inside[key] = value.of(inside[key]) if isinstance(value, Twist) else copy.deepcopy(value)
    return whole[""]


def _places(inside: Any) -> Any:
    for key in list(inside if isinstance(inside, dict) else range(len(inside))):
        yield inside, key
        if isinstance(inside[key], dict | list):
            yield from _places(inside[key])


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(
                f"{json.dumps(key, ensure_ascii=False)} = {toml(each)}"
                for key, each in value.items()
            )
            + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps("?" if value is None else value, ensure_ascii=False).replace(
        "\x7f", "\\u007f"
    )


EDITS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1, 2, 3, 3, 3]),
        st.integers(0, 1 << 20),
        st.integers(0, 40),
        st.one_of(st.sampled_from(GIANTS), st.sampled_from(TOKENS), st.binary(max_size=8)),
    ),
    min_size=1,
    max_size=4,
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        [
            "9999-12-31",
            "0001-01-01",
            "../../../etc/passwd",
            "UTC",
            "dp",
            "log",
            "numeric",
            "ordinal",
        ]
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
TWISTS = st.builds(Twist, st.sampled_from([-1.0, 0.0, 0.5, 0.999, 1.001, 2.0, 10.0, 1e9, 1e300]))
CHANGES = st.lists(st.tuples(st.integers(0, 1 << 20), VALUES | TWISTS), min_size=1, max_size=2)

"""One spelling for each id, so that log, catalogue, user table and opt-out list agree on who is
who.

An id is compared as text: blanks, control and invisible characters around it are cut, and a whole
number that some tool wrote as `7.0` is `7`. The words with which tools write "no value" are no id:
rows of several people under one such word would otherwise pass as one person.

Guarantees: the spelling of an id depends on that id alone; nothing in one makes the others fail.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

AROUND = r"^[\pZ\p{Cc}\p{Cf}]+|[\pZ\p{Cc}\p{Cf}]+$"
WHOLE_AS_FLOAT = r"^(-?[0-9]+)\.0+$"
WHOLE = r"^(0|-?[1-9][0-9]{0,17})$"
WITHOUT_EXPONENT = 1e16
BYTES = {kind.id for kind in (pa.binary(), pa.binary(1), pa.large_binary(), pa.binary_view())}
NO_VALUE = ("", "nan", "null", "none", "na", "n/a", "<na>", "nat", "\\n")


def canonical(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Ids in the one spelling, as text; null where there is no id.

    Shapes:
        [B] of text, bytes or numbers -> string[B].
    """
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_floating(values.type):
        numbers = values.to_numpy(zero_copy_only=False)
        whole = (np.abs(numbers) < WITHOUT_EXPONENT) & (numbers == np.floor(numbers))
        text = numbers.astype(str)  # Python and the engine write numbers like this, Arrow does not
        text[whole] = numbers[whole].astype(np.int64).astype(str)
        values = pa.array(text, mask=~np.isfinite(numbers))
    elif values.type.id in BYTES:
        values = pa.array(map(text_of, values.to_pylist()), pa.string())
    text = values.cast(pa.string())
    if are_whole_numbers(text):
        return text
    text = pc.replace_substring_regex(text, pattern=AROUND, replacement="")
    text = pc.replace_substring_regex(text, pattern=WHOLE_AS_FLOAT, replacement=r"\1")
    missing = pc.is_in(pc.utf8_lower(text), value_set=pa.array(NO_VALUE))
    return pc.if_else(missing, None, text)


def text_of(cell: object) -> str | None:
    """Any cell as text, by itself; what cannot be text is no value, and stops nobody's reading."""
    if cell is None:
        return None
    try:
        text = cell.decode() if isinstance(cell, bytes) else str(cell)
        text.encode()
    except Exception:  # noqa: BLE001  (whatever the cell's own class raises)
        return None
    return text.lower() if isinstance(cell, (bool, np.bool_)) else text


def number_of(cell: Any) -> float | None:
    """A cell or a word as a finite number; None for everything else."""
    try:
        number = float(cell)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def are_whole_numbers(values: pa.Array) -> bool:
    """Can every id be written as a 64-bit integer and back without change?"""
    return bool(pc.all(pc.match_substring_regex(values, pattern=WHOLE), min_count=0).as_py())

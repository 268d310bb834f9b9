"""One spelling for each id, so that the log, the catalogue, the user table and the opt-out list agree on who is who.

An id is compared as text: surrounding blanks are cut, and a whole number that some tool wrote as `7.0` is `7`. The words with
which tools write "no value" are no id: rows of several people under one such word would otherwise pass as one person.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

WHOLE_AS_FLOAT = r"^(-?[0-9]+)\.0+$"
WHOLE = r"^(0|-?[1-9][0-9]{0,17})$"
EXACT_BELOW = 2.0**53      # larger floats do not hold every whole number
NO_VALUE = ("", "nan", "null", "none", "na", "n/a", "<na>", "nat", "\\n")


def canonical(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Text ids in the one spelling; null where there is no id."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_finite(values), values, None)
        whole = pc.and_(pc.equal(values, pc.floor(values)), pc.less(pc.abs(values), EXACT_BELOW))
        values = pc.if_else(whole, pc.cast(pc.if_else(whole, values, None), pa.int64(), safe=False).cast(pa.string()),
                            values.cast(pa.string()))
    text = pc.utf8_trim_whitespace(values.cast(pa.string()))
    text = pc.replace_substring_regex(text, pattern=WHOLE_AS_FLOAT, replacement=r"\1")
    missing = pc.is_in(pc.utf8_lower(text), value_set=pa.array(NO_VALUE))
    return pc.if_else(missing, None, text)


def are_whole_numbers(values: pa.Array) -> bool:
    """Can every id be written as a 64-bit integer and back without change?"""
    return bool(pc.all(pc.match_substring_regex(values, pattern=WHOLE), min_count=0).as_py())

"""Refuse a log one of whose columns, as a whole, cannot be what the schema says it is.

Guarantees: looks at flags over the whole log ("does any row hold a number here?"), never at one row; says which column and what
would fit, never a value or a count.
"""

from __future__ import annotations

from typing import Any

from synthrec.data import bounding
from synthrec.data.columns import UNITS_PER_SECOND
from synthrec.data.schema import Schema
from synthrec.errors import DataError


def require_usable(con: Any, schema: Schema) -> None:
    """Raise DataError if a whole column cannot be what the schema says it is."""
    any_row = con.con.sql(bounding.whole_columns(schema)).to_arrow_table().to_pylist()[0]
    if not any_row["rows"]:
        raise DataError("the log must hold rows", found="a header only, or nobody left after opt-outs", remedy="Export it again.")
    if not any_row["user"]:
        raise DataError(f"{schema.user} must hold user ids", found="a column without any", remedy="Check the export.")
    if not any_row["item"]:
        raise DataError(f"{schema.item} must hold ids of the catalogue", found="no id in common",
                        remedy="Check that the log and the catalogue spell ids in the same way.")
    if (scale := schema.rating) is not None and not any_row["rating"]:
        raise DataError(f"{scale.name} must hold numbers from {scale.min} to {scale.max} by {scale.step}",
                        found="no number on that scale" if any_row["rating_read"] else "a column without any number",
                        remedy="Correct min, max and step, or check the export.")
    if (time := schema.time) is not None and not any_row["time"]:
        fits = [unit for unit in UNITS_PER_SECOND if any_row[f"fits_{unit}"] and time.unit != "iso"]
        advice = f'The values look like unit = "{fits[0]}".' if fits else "Correct unit, zone, min and max, or check the export."
        raise DataError(f'{time.name} must hold times from {time.min} to {time.max} in unit "{time.unit}"',
                        found="none in that window" if any_row["time_read"] else "a column without any readable time", remedy=advice)

"""From judged rows to at most K events of each privacy unit, in SQL that names no column of the
log.

`reader.py` has turned the log into the table `judged`: one row per event with `unit` and `account`
(text or null; one column where the user is the unit), `item` (row of the catalogue or null),
`rating` (level on the declared scale or null), `second` (within the declared window or null), `m0`,
`m1`, ... (the marks in the schema's order: a code, a number or the text of a basket's id; null: not
as declared), `rating_read` (does the cell hold a number?) and `moment` (the cell as a number of
seconds, milliseconds or whatever it was).

Guarantees: every rule looks at one row, or at the rows of one unit, so adding or removing a unit
changes no other unit's events. A unit keeps at most K events, drawn without looking at what they
say; bounding twice is bounding once. Units come in random order: their places tell nothing. Rows of
a null user, whom no bound could cover, are dropped.
"""

from __future__ import annotations

from synthrec.data.columns import UNITS_PER_SECOND, Identifier
from synthrec.data.schema import Schema

# within a user by time, then by marks; nothing of the file's order is kept
PLACE_ORDER = "place, second, item, rating"


def reasons(schema: Schema) -> dict[str, str]:
    """Why a row is not used, as name -> SQL condition; a row counts for the first that holds."""
    conditions = {"no user": _nobody(schema), "item not in the catalogue": "item IS NULL"}
    if schema.rating is not None:
        conditions["rating off the declared scale"] = "rating IS NULL"
    if schema.time is not None:
        conditions["time outside the declared window"] = "second IS NULL"
    for place, (name, mark) in enumerate(schema.marks.items()):
        if isinstance(mark, Identifier) or mark.outside == "drop":
            conditions[f"{name} not as declared"] = f"m{place} IS NULL"
    return conditions


def _columns(schema: Schema) -> str:
    return ", ".join(
        ("item", "rating", "second", *(f"m{place}" for place in range(len(schema.marks))))
    )


def usable(schema: Schema) -> str:
    """Rows that no reason excludes, units as numbers."""
    keep = " AND ".join(f"NOT ({condition})" for condition in reasons(schema).values())
    return f"SELECT code, {_columns(schema)} FROM judged JOIN names USING (unit) WHERE {keep}"


def bounded(schema: Schema, *, events_per_user: int | None, part: int, parts: int) -> str:
    """Events of every `parts`-th unit, from `usable`: without repeats one random row of each (unit,
    item, type of event), then at most K of them.

    Run it once into a table: each run draws anew. None for K keeps all. A part holds whole units,
    so parts bound memory only.
    """
    rows = f"SELECT * FROM usable WHERE code % {parts} = {part}"
    if not schema.repeats:
        kinds = [
            f", m{place}" for place, mark in enumerate(schema.marks.values()) if mark == schema.kind
        ]
        rows = _drawn(rows, per=f"code, item{''.join(kinds)}", most=1, columns=_columns(schema))
    return (
        rows
        if events_per_user is None
        else _drawn(rows, per="code", most=events_per_user, columns=_columns(schema))
    )


def _drawn(rows: str, *, per: str, most: int, columns: str) -> str:
    # DuckDB refuses random() inside the window, so each row carries its draw into it
    return (
        f"SELECT code, {columns} FROM (SELECT *, row_number() OVER (PARTITION BY {per} ORDER BY draw) AS place"
        f" FROM (SELECT *, random() AS draw FROM ({rows}))) WHERE place <= {int(most)}"
    )


KEYS = "SELECT key, row_number() OVER () - 1 AS item FROM (SELECT DISTINCT key FROM read WHERE key IS NOT NULL)"
NAMES = "SELECT unit, row_number() OVER () AS code FROM (SELECT DISTINCT unit FROM judged WHERE unit IS NOT NULL)"
UNITS = """
    SELECT unit, code, events, row_number() OVER (ORDER BY draw) - 1 AS place
    FROM (SELECT code, count(*) AS events, random() AS draw FROM bounded GROUP BY code) JOIN names USING (code)
"""


def events(schema: Schema) -> str:
    """Bounded events user after user, in order; a basket as its number within the user."""
    marks = [
        f"dense_rank() OVER (PARTITION BY place ORDER BY m{place}) - 1 AS m{place}"
        if isinstance(mark, Identifier)
        else f"m{place}"
        for place, mark in enumerate(schema.marks.values())
    ]
    order = ", ".join((PLACE_ORDER, *(f"m{place}" for place in range(len(marks)))))
    return f"SELECT {', '.join(('place', 'item', 'rating', 'second', *marks))} FROM bounded JOIN units USING (code) ORDER BY {order}"


def attributes(schema: Schema, *, count: int) -> str:
    """One row per unit, in order of place, from `people(account, a0, a1, ...)`: any one value where
    there are several.
    """
    values = ", ".join(f"any_value(a{place}) AS a{place}" for place in range(count))
    accounts = (
        "units"
        if _one_account(schema)
        else "units LEFT JOIN (SELECT DISTINCT unit, account FROM judged) AS owned USING (unit)"
    )
    joined = f"{accounts} LEFT JOIN people ON people.account = {'unit' if _one_account(schema) else 'owned.account'}"
    return f"SELECT place, {values} FROM {joined} GROUP BY place ORDER BY place"


def whole_columns(schema: Schema) -> str:
    """One row of flags over the whole log: is there any row, any user, any readable cell per
    column, and which time unit fits?
    """
    flags = {
        "rows": "count(*) > 0",
        "user": f"bool_or(NOT ({_nobody(schema)}))",
        "item": "bool_or(item IS NOT NULL)",
        "rating_read": "bool_or(rating_read)",
        "rating": "bool_or(rating IS NOT NULL)",
        "time_read": "bool_or(moment IS NOT NULL)",
        "time": "bool_or(second IS NOT NULL)",
    }
    if schema.time is not None:
        flags |= {
            f"fits_{unit}": f"bool_or(floor(moment / {per_second}) BETWEEN {schema.time.min_seconds}"
            f" AND {schema.time.max_seconds})"
            for unit, per_second in UNITS_PER_SECOND.items()
        }
    return f"SELECT {', '.join(f'coalesce({flag}, false) AS {name}' for name, flag in flags.items())} FROM judged"


def _nobody(schema: Schema) -> str:
    return "unit IS NULL" if _one_account(schema) else "unit IS NULL OR account IS NULL"


def _one_account(schema: Schema) -> bool:
    return schema.privacy.unit == schema.user

"""What becomes of a log's rows, in DuckDB's SQL: each is judged by itself, then at most K events of
each privacy unit are kept.

`read` (and where items are known `judged` at once) has one row per event with `unit` and `account`
(text or null; one column where the user is the unit), `key` (text of the item's id; in `judged`
`item`, the row of the catalogue or null), `rating` (level on the declared scale or null), `second`
(within the declared window or null), `m0`, `m1`, ... (the marks in the schema's order: a code, a
number or the text of a basket's id; null: not as declared), `rating_read` (does the cell hold a
number?) and `moment` (the cell as a number of seconds, milliseconds or whatever it was).

Guarantees: every rule looks at one row, or at the rows of one unit, so adding or removing a unit
changes no other unit's events. A cell is cast by its column's type, which no cell can change. A
unit keeps at most K events, drawn without looking at what they say; bounding twice is bounding
once. Units come in random order: their places tell nothing. Rows of a null user, whom no bound
could cover, are dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from synthrec.data.columns import UNITS_PER_SECOND, EventCategory, Identifier
from synthrec.data.domain import LEVEL_TOLERANCE, Categorical, Ordinal
from synthrec.data.schema import Schema
from synthrec.errors import DataError

Types = Mapping[str, str]  # a source's columns and their types, as DuckDB calls them
Select = dict[str, str]  # name of a result -> SQL expression
WHOLE = {f"{sign}{size}INT" for sign in ("", "U") for size in ("TINY", "SMALL", "BIG", "HUGE")} | {
    "INTEGER",
    "UINTEGER",
}
FLOATING = {"FLOAT", "DOUBLE"}
TIMES = ("TIMESTAMP", "DATE")
# a cell as a finite number; a number within a range, to be asked before rounding, which fails on
# what no integer can hold; the level of a scale that a number stands for. Else null, each of them
MACROS = f"""
    CREATE TEMP MACRO finite(cell) AS
        CASE WHEN isfinite(TRY_CAST(cell AS DOUBLE)) THEN TRY_CAST(cell AS DOUBLE) END;
    CREATE TEMP MACRO within(number, low, high) AS
        CASE WHEN number BETWEEN low AND high THEN number END;
    CREATE TEMP MACRO nearest(steps, low, step) AS
        CASE WHEN abs(steps - CAST(round(steps) AS BIGINT)) <= {LEVEL_TOLERANCE!r}
        THEN CAST(CAST(round(steps) AS BIGINT) * step + low AS DOUBLE) END;
    CREATE TEMP MACRO level(number, low, step, size) AS
        nearest(within((number - low) / step, -0.5, size - 0.5), low, step);
"""


def quoted(name: str) -> str:
    """A column's name."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text."""
    return "'" + text.replace("'", "''") + "'"


def listed(texts: Iterable[str]) -> str:
    """Several texts."""
    return ", ".join(map(literal, texts))


def people(types: Types, schema: Schema) -> Select:
    """Whose row it is."""
    unit = {"unit": identifier(types, schema.privacy.unit)}
    return unit if _one_account(schema) else {**unit, "account": identifier(types, schema.user)}


def event(types: Types, schema: Schema) -> Select:
    """A row of the log, judged by itself. Raises DataError for a time column of another type than
    declared.
    """
    rating: Select = {"rating": "CAST(NULL AS FLOAT)", "rating_read": "false"}
    if schema.rating is not None:
        rating = {
            "rating": f"CAST({_level(schema.rating)} AS FLOAT)",
            "rating_read": f"finite({quoted(schema.rating.name)}) IS NOT NULL",
        }
    return {
        **people(types, schema),
        "key": identifier(types, schema.item),
        **rating,
        **_moment(types, schema),
        **{f"m{place}": _mark(types, name, schema) for place, name in enumerate(schema.marks)},
    }


def attribute(types: Types, schema: Schema) -> Select:
    """A row of the user table: an account, and each declared attribute as text or number."""
    columns = {
        f"a{place}": identifier(types, name)
        if isinstance(column, Categorical)
        else f"finite({quoted(name)})"
        for place, (name, column) in enumerate(schema.user_attributes.items())
    }
    return {"account": identifier(types, schema.user), **columns}


def identifier(types: Types, name: str) -> str:
    """A cell as an id in the one spelling, or null."""
    cell, kind = quoted(name), types[name]
    if kind in WHOLE:
        return f"CAST({cell} AS VARCHAR)"
    if kind == "BLOB":
        return f"canonical_bytes({cell})"
    if kind in FLOATING:
        cell = f"CASE WHEN isfinite({cell}) THEN {cell} END"
    return f"canonical(CAST({cell} AS VARCHAR))"


def _moment(types: Types, schema: Schema) -> Select:
    time = schema.time
    if time is None:
        return {"moment": "CAST(NULL AS DOUBLE)", "second": "CAST(NULL AS BIGINT)"}
    kind = types[time.name]
    if time.unit == "iso":
        if kind in WHOLE | FLOATING or kind.startswith("DECIMAL"):
            raise DataError(
                f'{time.name} must hold timestamps or ISO 8601 text, as unit = "iso" says',
                found="a column of numbers",
                remedy='Say unit = "s", "ms", "us" or "ns".',
            )
        # the zone of what has none is the connection's
        moment = f"epoch(TRY_CAST({quoted(time.name)} AS TIMESTAMPTZ))"
        second = moment
    elif kind.startswith(TIMES):
        raise DataError(
            f'{time.name} must hold numbers, as unit = "{time.unit}" says',
            found="a column of timestamps or the like",
            remedy='Say unit = "iso".',
        )
    else:
        moment = f"finite({quoted(time.name)})"
        second = f"{moment} / {UNITS_PER_SECOND[time.unit]}"
    window = f"{time.min_seconds!r}, {time.max_seconds + 1 - 1e-6!r}"
    return {"moment": moment, "second": f"CAST(floor(within({second}, {window})) AS BIGINT)"}


def _level(scale: Ordinal) -> str:
    return f"level(finite({quoted(scale.name)}), {scale.min!r}, {scale.step!r}, {scale.size})"


def _mark(types: Types, name: str, schema: Schema) -> str:
    """What an event says besides: text of a category or an id as declared or null, a number within
    its range or null.
    """
    mark = schema.marks[name]
    if isinstance(mark, Ordinal):
        return _level(mark)
    if isinstance(mark, (Identifier, EventCategory)):
        text = identifier(types, name)
        if isinstance(mark, Identifier) or mark.is_open:
            return text
        return f"CASE WHEN {text} IN ({listed(mark.labels)}) THEN {text} END"
    cell = f"finite({quoted(name)})"
    if mark.negative and schema.kind is not None:
        kind = identifier(types, schema.kind.name)
        cell = f"CASE WHEN {kind} IN ({listed(mark.negative)}) THEN -({cell}) ELSE {cell} END"
    return f"within({cell}, {float(mark.edges[0])!r}, {float(mark.edges[-1])!r})"


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
    """Rows that no reason excludes, unit after unit as numbers: a range of them is read alone."""
    keep = " AND ".join(f"NOT ({condition})" for condition in reasons(schema).values())
    return f"SELECT code, {_columns(schema)} FROM judged JOIN names USING (unit) WHERE {keep} ORDER BY code"


def bounded(schema: Schema, *, events_per_user: int | None, first: int, past: int) -> str:
    """Events of the units from code `first` on and before `past`, from `usable`: without repeats
    one random row of each (unit, item, type of event), then at most K of them.

    Run it once into a table: each run draws anew. None for K keeps all. A range holds whole units,
    so ranges bound memory only.
    """
    rows = f"SELECT * FROM usable WHERE code >= {first} AND code < {past}"
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


JUDGED = "SELECT * EXCLUDE (key) FROM {rows} LEFT JOIN items USING (key)"
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

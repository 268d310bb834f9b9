"""RecBole's atomic files: tables separated by tabs whose first line types each column. `NAME.inter`
holds events, `NAME.user` users and `NAME.item` what the release knows of items.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from synthrec.data.catalogue import Catalogue
from synthrec.data.columns import Datetime, Embedding, ItemNumber, ItemSet
from synthrec.data.domain import Numeric, Ordinal
from synthrec.data.schema import Schema

EVENTS, USERS, ITEMS = ".inter", ".user", ".item"


def typed(schema: Schema) -> Callable[[pa.Table], pa.Table]:
    """What turns a table of events or users into one of typed names; moments become seconds."""
    columns: dict[str, Any] = {**schema.user_attributes, **schema.columns}

    def renamed(table: pa.Table) -> pa.Table:
        made = {}
        for name in table.column_names:
            cells, column = table[name], columns[name]
            if pa.types.is_timestamp(cells.type):
                cells = pc.divide(cells.cast(pa.int64()).cast(pa.float64()), 1e6)
            number = isinstance(column, (Ordinal, Numeric, Datetime))
            made[f"{name}:{'float' if number else 'token'}"] = cells
        return pa.table(made)

    return renamed


def items(catalogue: Catalogue, schema: Schema) -> pa.Table:
    """The catalogue's sets, categories and numbers; of a set's words each is one word."""
    made = {f"{schema.item}:token": catalogue.ids}
    for name, column in schema.item_attributes.items():
        if name not in catalogue.attributes.column_names or isinstance(column, Embedding):
            continue
        cells = catalogue.attributes[name]
        if isinstance(column, ItemSet):
            words = [
                None
                if cell is None
                else " ".join("_".join(word.split()) for word in cell.split(column.separator))
                for cell in cells.to_pylist()
            ]
            made[f"{name}:token_seq"] = pa.array(words, pa.string())
        else:
            made[f"{name}:{'float' if isinstance(column, ItemNumber) else 'token'}"] = cells
    return pa.table(made)

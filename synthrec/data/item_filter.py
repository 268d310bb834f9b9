"""Which items of the catalogue match a condition: a word of a set, a category, a number or a range.

Guarantees: reads the public catalogue only.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from synthrec.data.catalogue import Catalogue
from synthrec.data.columns import ItemCategory, ItemNumber, ItemSet
from synthrec.data.condition_words import listed, number, number_range
from synthrec.data.schema import Schema
from synthrec.errors import ConditionError

FILTERS = (ItemSet, ItemNumber, ItemCategory)       # kinds of attributes that a release keeps, to filter by


def matching_items(schema: Schema, catalogue: Catalogue, rows: Mapping[str, str]) -> np.ndarray | None:
    """Rows that all conditions leave."""
    if not rows:
        return None
    found = np.ones(catalogue.size, dtype=bool)
    for name, text in rows.items():
        found &= _matching(schema, catalogue, name, text)
    if not found.any():
        raise ConditionError("--items must leave at least one item", found="none that matches all of "
                             + ", ".join(f"{name}={text}" for name, text in rows.items()), remedy="Ask for more.")
    return np.flatnonzero(found)


def _matching(schema: Schema, catalogue: Catalogue, name: str, text: str) -> np.ndarray:
    """Which items match one condition.

    Shapes:
        -> bool[V].
    """
    declared = schema.item_attributes.get(name)
    if not isinstance(declared, FILTERS):
        known = [other for other, each in schema.item_attributes.items() if isinstance(each, FILTERS)]
        raise ConditionError("--items must name a set, a category or a number of the catalogue", found=name,
                             remedy=f"Known: {listed(known) or 'none is declared'}.")
    if name not in catalogue.attributes.column_names:
        raise ConditionError("--items needs the catalogue's attributes in the release", found=f"a release that does not hold {name}",
                             remedy="Make the release anew with this version.")
    cells = catalogue.attributes[name].to_pylist()
    if isinstance(declared, ItemNumber):
        return _numbers_within(cells, name=name, text=text)
    separator = declared.separator if isinstance(declared, ItemSet) else None
    words = [{word.strip() for word in (str(cell).split(separator) if separator else [str(cell)])} - {""} if cell is not None else set()
             for cell in cells]
    known = sorted(set().union(*words))
    asked = {text} if text in known else {word.strip() for word in text.split(",")}
    if unknown := sorted(asked - set(known)):
        raise ConditionError(f"--items {name} must name values of the catalogue", found=unknown[0], remedy=f"Known: {listed(known)}.")
    return np.array([bool(asked & each) for each in words])


def _numbers_within(cells: list[float | None], *, name: str, text: str) -> np.ndarray:
    numbers = np.array([np.nan if cell is None else float(cell) for cell in cells])
    if (found := number_range(text, name=name)) is not None:
        return np.asarray((numbers >= found[0]) & (numbers <= found[1]))
    asked = [number(word) for word in text.split(",")]
    if None in asked:
        raise ConditionError(f"--items {name} must be a range or numbers", found=text, remedy=f"Write for example {name}=1990..1999.")
    return np.isin(numbers, np.array(asked, dtype=np.float64))

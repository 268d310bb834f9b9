"""Item features: what the catalogue says about each item, in numbers of similar size.

Everything a model knows about an item beyond two noisy measurements (how popular, how liked) comes through here, so item factors
are a map of named features and few users suffice to learn it.

Guarantees: reads the public catalogue only (rule 4).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from sklearn.cluster import KMeans

from synthrec.data.catalogue import Catalogue
from synthrec.data.columns import Embedding, ItemCategory, ItemNumber, ItemSet, Text
from synthrec.data.schema import Schema
from synthrec.model.groups import LEARNT
from synthrec.model.words import word_features

MOST_WORDS = 20         # of a set or categorical column: the ones that most items have
LEAST_ITEMS = 3         # that a word must describe
EMBEDDING_AXES = 8
GROUPS = 16
MEASURED = ("popularity", "quality")        # the features that no catalogue knows
FARTHEST = 4.0          # standard deviations
YEAR_IN_BRACKETS = re.compile(r"\((1[89]\d\d|20\d\d)\)")


@dataclass(frozen=True)
class ItemFeatures:
    """Named columns over the catalogue.

    Shapes:
        values float64[V, F].
    """

    names: tuple[str, ...]
    values: np.ndarray

    def with_columns(self, columns: Mapping[str, np.ndarray]) -> ItemFeatures:
        """These and further columns."""
        return ItemFeatures(names=(*self.names, *columns), values=np.column_stack([self.values, *columns.values()]))

    def standardised(self, weights: np.ndarray) -> ItemFeatures:
        """Mean 0 and variance 1 under item weights (a popularity), cut at FARTHEST; constant columns are left out.

        Shapes:
            weights float64[V].
        """
        share = weights / weights.sum()
        mean = share @ self.values
        deviation = np.sqrt(share @ (self.values - mean) ** 2)
        kept = deviation > 1e-6
        values = np.clip((self.values[:, kept] - mean[kept]) / deviation[kept], -FARTHEST, FARTHEST)
        return ItemFeatures(names=tuple(name for name, keep in zip(self.names, kept, strict=True) if keep), values=values)


def catalogue_features(catalogue: Catalogue, schema: Schema) -> ItemFeatures:
    """Features of each declared item attribute: words as 0 or 1, numbers as they are, of titles the year in brackets; then groups."""
    found = ItemFeatures(names=(), values=np.zeros((catalogue.size, 0)))
    for name, declared in schema.item_attributes.items():
        columns = _columns(name, declared, catalogue.attributes.column(name).combine_chunks())
        found = found.with_columns(_apart(columns, taken=found.names))
    return found.with_columns(_groups(found))


def _apart(columns: dict[str, np.ndarray], *, taken: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The columns by names of their own: a catalogue may call an attribute "quality", or one "a" with a word "b c" and one "a b"."""
    found: dict[str, np.ndarray] = {}
    for name, column in columns.items():
        while name in MEASURED or LEARNT.fullmatch(name) or name in taken or name in found:
            name += " (2)"
        found[name] = column
    return found


def _columns(name: str, declared: object, cells: pa.Array) -> dict[str, np.ndarray]:
    if isinstance(declared, ItemSet):
        return _words(name, [[word.strip() for word in (cell or "").split(declared.separator)] for cell in _texts(cells)])
    if isinstance(declared, ItemCategory):
        return _words(name, [[cell] if cell else [] for cell in _texts(cells)])
    if isinstance(declared, ItemNumber):
        return {name: _number(_texts(cells))}
    if isinstance(declared, Text):
        years = [match.group(1) if (match := YEAR_IN_BRACKETS.search(cell or "")) else None for cell in _texts(cells)]
        return ({f"{name} year": _number(years)} if any(years) else {}) | word_features(name, _texts(cells))
    assert isinstance(declared, Embedding)
    return _axes(name, cells)


def _groups(described: ItemFeatures) -> dict[str, np.ndarray]:
    """Membership in groups of items with like attributes: what sums of single attributes cannot say ("old *and* a western")."""
    items = len(described.values)
    rows = described.standardised(np.ones(items)).values
    if items < 10 * GROUPS or len(np.unique(rows, axis=0)) < 2 * GROUPS:
        return {}
    group = KMeans(GROUPS, n_init=4, random_state=0).fit_predict(rows)
    return {f"group {place + 1}": (group == place).astype(np.float64) for place in range(GROUPS)}


def _texts(cells: pa.Array) -> list[str | None]:
    return [None if cell is None else str(cell) for cell in cells.to_pylist()]


def _words(name: str, rows: list[list[str]]) -> dict[str, np.ndarray]:
    count: dict[str, int] = {}
    for row in rows:
        for word in set(row) - {""}:
            count[word] = count.get(word, 0) + 1
    kept = sorted((word for word in count if LEAST_ITEMS <= count[word] < len(rows)), key=lambda word: (-count[word], word))[:MOST_WORDS]
    return {f"{name} {word}": np.array([float(word in row) for row in rows]) for word in kept}


def _number(cells: list[str | None]) -> np.ndarray:
    """Numbers; what is none takes the median, so that it pulls nowhere."""
    numbers = np.array([_float(cell) for cell in cells])
    known = np.isfinite(numbers)
    return np.where(known, numbers, np.median(numbers[known]) if known.any() else 0.0)


def _float(cell: str | None) -> float:
    try:
        return float(cell) if cell is not None else np.nan
    except ValueError:
        return np.nan


def _axes(name: str, cells: pa.Array) -> dict[str, np.ndarray]:
    """The widest axes of an embedding; rows of another length than the most are taken as missing (all zero)."""
    rows = cells.to_pylist()
    width = max((len(row) for row in rows if row is not None), default=0)
    matrix = np.array([row if row is not None and len(row) == width else [0.0] * width for row in rows], dtype=np.float64)
    matrix = np.nan_to_num(matrix - matrix.mean(axis=0, keepdims=True))
    left, size, _ = np.linalg.svd(matrix, full_matrices=False)
    axes = (left * size)[:, :EMBEDDING_AXES]
    return {f"{name} axis {place + 1}": axes[:, place] for place in range(axes.shape[1])}

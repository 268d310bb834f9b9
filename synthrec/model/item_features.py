"""Item features: what the catalogue says about each item, in numbers of similar size.

Everything a model knows about an item beyond two noisy measurements (how popular, how liked) comes
through here, so item factors are a map of named features and few users suffice to learn it.

Guarantees: reads the public catalogue only (rule: nothing unpaid).

What free text says about items: the words that many of them share, and the widest axes of all
words.

A description such as "RED RETROSPOT LUNCH BAG" is a bag of words; a title such as "Heat" is a name,
whose words tell nothing. Words count only in texts of several words, and where they recur: if the
shared words do not reach most items, the column gives no features.

Guarantees: reads the public catalogue only (rule: nothing unpaid).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfTransformer

from synthrec.data.catalogue import Catalogue
from synthrec.data.columns import Embedding, ItemCategory, ItemNumber, ItemSet, Text
from synthrec.data.schema import Schema

MAX_SHARED = 20  # words that become columns of their own
MIN_SHARE = 0.02  # of the items, that a shared word is in
MIN_REACH = 0.5  # of the items, that shared words must reach for the text to count
MIN_WORDS = 3  # that the middle item has: a shorter text is a name
MIN_ITEMS_PER_WORD = 3  # that a word of an axis is in
AXES = 16
WORD = re.compile(r"[^\W\d_]{3,}")


def word_features(name: str, texts: list[str | None]) -> dict[str, np.ndarray]:
    """Columns of the shared words as 0 or 1, then the axes; none if words do not recur.

    Shapes:
        V texts -> float64[V] each.
    """
    rows = [set(WORD.findall((text or "").lower())) - ENGLISH_STOP_WORDS for text in texts]
    if not rows or np.median([len(row) for row in rows]) < MIN_WORDS:
        return {}
    count = Counter(word for row in rows for word in row)
    shared = sorted(
        (word for word, items in count.items() if items >= MIN_SHARE * len(rows)),
        key=lambda word: (-count[word], word),
    )
    shared = shared[:MAX_SHARED]
    if len(rows) < 2 * AXES or sum(not row.isdisjoint(shared) for row in rows) < MIN_REACH * len(
        rows
    ):
        return {}
    columns = {f"{name} {word}": np.array([float(word in row) for row in rows]) for word in shared}
    known = sorted(word for word, items in count.items() if items >= MIN_ITEMS_PER_WORD)
    return columns | _title_axes(name, rows, known)


def _title_axes(name: str, rows: list[set[str]], known: list[str]) -> dict[str, np.ndarray]:
    """Latent semantic analysis (Deerwester et al. 1990): the widest directions of rows scaled by
    inverse document frequency.

    Each axis is named by the two words that weigh most in it.
    """
    axes = min(AXES, len(known) - 1)
    if axes < 1:
        return {}
    column_of = {word: column for column, word in enumerate(known)}
    cells = [
        (row, column_of[word])
        for row, words in enumerate(rows)
        for word in sorted(words)
        if word in column_of
    ]
    counts = sp.csr_matrix(
        (np.ones(len(cells)), np.transpose(cells)), shape=(len(rows), len(known))
    )
    scaled = TfidfTransformer().fit_transform(counts)
    svd = TruncatedSVD(axes, random_state=0)
    values = svd.fit_transform(scaled)
    titles = [
        " & ".join(known[column] for column in np.argsort(-np.abs(weights), kind="stable")[:2])
        for weights in svd.components_
    ]
    return {
        f"{name} axis {number + 1} ({words})": values[:, number]
        for number, words in enumerate(titles)
    }


MAX_WORDS = 20  # of a set or categorical column: the ones that most items have
MIN_ITEMS = 3  # that a word must describe
EMBEDDING_AXES = 8
GROUPS = 16
MEASURED = ("popularity", "quality")  # the features that no catalogue knows
LEARNT = re.compile(r"(group|pairs) \d+")  # features that the catalogue does not name
FARTHEST = 4.0  # standard deviations
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
        return ItemFeatures(
            names=(*self.names, *columns), values=np.column_stack([self.values, *columns.values()])
        )

    def standardised(self, weights: np.ndarray) -> ItemFeatures:
        """Mean 0 and variance 1 under item weights (a popularity), cut at FARTHEST; constant
        columns are left out.

        Shapes:
            weights float64[V].
        """
        share = weights / weights.sum()
        mean = share @ self.values
        deviation = np.sqrt(share @ (self.values - mean) ** 2)
        varies = deviation > 1e-6
        values = np.clip(
            (self.values[:, varies] - mean[varies]) / deviation[varies], -FARTHEST, FARTHEST
        )
        return ItemFeatures(
            names=tuple(name for name, keep in zip(self.names, varies, strict=True) if keep),
            values=values,
        )


def catalogue_features(catalogue: Catalogue, schema: Schema) -> ItemFeatures:
    """Features of each declared item attribute: words as 0 or 1, numbers as they are, of titles the
    year in brackets; then groups.
    """
    described = ItemFeatures(names=(), values=np.zeros((catalogue.size, 0)))
    for name, declared in schema.item_attributes.items():
        columns = _columns(name, declared, catalogue.attributes.column(name).combine_chunks())
        described = described.with_columns(_apart(columns, taken=described.names))
    return described.with_columns(_groups(described))


def _apart(columns: dict[str, np.ndarray], *, taken: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The columns by names of their own: a catalogue may call an attribute "quality", or one "a"
    with a word "b c" and one "a b".
    """
    renamed: dict[str, np.ndarray] = {}
    for name, column in columns.items():
        while name in MEASURED or LEARNT.fullmatch(name) or name in taken or name in renamed:
            name += " (2)"
        renamed[name] = column
    return renamed


def _columns(name: str, declared: object, cells: pa.Array) -> dict[str, np.ndarray]:
    if isinstance(declared, ItemSet):
        return _words(
            name,
            [
                [word.strip() for word in (cell or "").split(declared.separator)]
                for cell in _texts(cells)
            ],
        )
    if isinstance(declared, ItemCategory):
        return _words(name, [[cell] if cell else [] for cell in _texts(cells)])
    if isinstance(declared, ItemNumber):
        return {name: _number(_texts(cells))}
    if isinstance(declared, Text):
        years = [
            match.group(1) if (match := YEAR_IN_BRACKETS.search(cell or "")) else None
            for cell in _texts(cells)
        ]
        return ({f"{name} year": _number(years)} if any(years) else {}) | word_features(
            name, _texts(cells)
        )
    assert isinstance(declared, Embedding)
    return _axes(name, cells)


def _groups(described: ItemFeatures) -> dict[str, np.ndarray]:
    """Membership in groups of items with like attributes: what sums of single attributes cannot say
    ("old *and* a western").
    """
    items = len(described.values)
    rows = described.standardised(np.ones(items)).values
    if items < 10 * GROUPS or len(np.unique(rows, axis=0)) < 2 * GROUPS:
        return {}
    group = KMeans(GROUPS, n_init=4, random_state=0).fit_predict(rows)
    return {f"group {index + 1}": (group == index).astype(np.float64) for index in range(GROUPS)}


def _texts(cells: pa.Array) -> list[str | None]:
    return [None if cell is None else str(cell) for cell in cells.to_pylist()]


def _words(name: str, rows: list[list[str]]) -> dict[str, np.ndarray]:
    count = Counter(word for row in rows for word in set(row) - {""})
    common = sorted(
        (word for word in count if MIN_ITEMS <= count[word] < len(rows)),
        key=lambda word: (-count[word], word),
    )[:MAX_WORDS]
    return {f"{name} {word}": np.array([float(word in row) for row in rows]) for word in common}


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
    """The widest axes of an embedding; rows of another length than the most are taken as missing
    (all zero).
    """
    rows = cells.to_pylist()
    width = max((len(row) for row in rows if row is not None), default=0)
    matrix = np.array(
        [row if row is not None and len(row) == width else [0.0] * width for row in rows],
        dtype=np.float64,
    )
    matrix = np.nan_to_num(matrix - matrix.mean(axis=0, keepdims=True))
    left, size, _ = np.linalg.svd(matrix, full_matrices=False)
    axes = (left * size)[:, :EMBEDDING_AXES]
    return {f"{name} axis {index + 1}": axes[:, index] for index in range(axes.shape[1])}

"""What free text says about items: the words that many of them share, and the widest axes of all words.

A description such as "RED RETROSPOT LUNCH BAG" is a bag of words; a title such as "Heat" is a name, whose words tell nothing. Words count
only in texts of several words, and where they recur: if the shared words do not reach most items, the column gives no features.

Guarantees: reads the public catalogue only (rule 4).
"""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfTransformer

MOST_SHARED = 20        # words that become columns of their own
LEAST_SHARE = 0.02      # of the items, that a shared word is in
LEAST_REACH = 0.5       # of the items, that shared words must reach for the text to count
LEAST_WORDS = 3         # that the middle item has: a shorter text is a name
LEAST_ITEMS = 3         # that a word of an axis is in
AXES = 16
WORD = re.compile(r"[^\W\d_]{3,}")


def word_features(name: str, texts: list[str | None]) -> dict[str, np.ndarray]:
    """Columns of the shared words as 0 or 1, then the axes; none if words do not recur.

    Shapes:
        V texts -> float64[V] each.
    """
    rows = [set(WORD.findall((text or "").lower())) - ENGLISH_STOP_WORDS for text in texts]
    if not rows or np.median([len(row) for row in rows]) < LEAST_WORDS:
        return {}
    count = Counter(word for row in rows for word in row)
    shared = sorted((word for word, items in count.items() if items >= LEAST_SHARE * len(rows)), key=lambda word: (-count[word], word))
    shared = shared[:MOST_SHARED]
    if len(rows) < 2 * AXES or sum(not row.isdisjoint(shared) for row in rows) < LEAST_REACH * len(rows):
        return {}
    columns = {f"{name} {word}": np.array([float(word in row) for row in rows]) for word in shared}
    known = sorted(word for word, items in count.items() if items >= LEAST_ITEMS)
    return columns | _axes(name, rows, known)


def _axes(name: str, rows: list[set[str]], known: list[str]) -> dict[str, np.ndarray]:
    """Latent semantic analysis (Deerwester et al. 1990): the widest directions of rows scaled by inverse document frequency.

    Each axis is named by the two words that weigh most in it.
    """
    axes = min(AXES, len(known) - 1)
    if axes < 1:
        return {}
    place = {word: column for column, word in enumerate(known)}
    cells = [(row, place[word]) for row, words in enumerate(rows) for word in sorted(words) if word in place]
    found = sp.csr_matrix((np.ones(len(cells)), np.transpose(cells)), shape=(len(rows), len(known)))
    scaled = TfidfTransformer().fit_transform(found)
    svd = TruncatedSVD(axes, random_state=0)
    values = svd.fit_transform(scaled)
    said = [" & ".join(known[column] for column in np.argsort(-np.abs(weights), kind="stable")[:2]) for weights in svd.components_]
    return {f"{name} axis {number + 1} ({words})": values[:, number] for number, words in enumerate(said)}

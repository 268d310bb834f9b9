"""Popularity: which share of the events goes to each item, and how unequal the shares are.

- total variation; Jensen-Shannon divergence in bits, the mean of two divergences from the mean distribution (Lin 1991);
- Kullback-Leibler divergence of real from synthetic in bits, every item of the catalogue counting half an event more in both logs
  (Krichevsky and Trofimov 1981), so that an item that one log lacks costs much and not all;
- Gini coefficient over the catalogue: 0 where all items are equal, near 1 where one has everything;
- the most popular items: share of the real ones that are not among the synthetic ones.
"""

from __future__ import annotations

import numpy as np

from synthrec.audit.fidelity.question import Question, Sample, histogram, number

MOST_POPULAR = 100


def questions(items: int) -> list[Question]:
    """Of any log."""
    top = max(1, min(MOST_POPULAR, items // 4))

    def counts(sample: Sample) -> np.ndarray:
        return np.bincount(sample.whole.item, minlength=items)

    return [
        histogram("popularity", "events of each item", counts, over="events"),
        Question("popularity", "events of each item, in bits", "Jensen-Shannon divergence (bits)", counts, jensen_shannon),
        Question("popularity", "events of each item, real from synthetic", "Kullback-Leibler divergence (bits), half an event added",
                 counts, lambda synthetic, real: kullback_leibler(real + 0.5, other=synthetic + 0.5)),
        number("popularity", "how unequal items are", counts, value=gini, method="difference of Gini coefficients"),
        Question("popularity", f"the {top} most popular items", "share of the real ones missed", counts,
                 lambda synthetic, real: missed(synthetic, real, top=top)),
    ]


def kullback_leibler(one: np.ndarray, *, other: np.ndarray) -> float:
    """Bits of `one` from `other`, each normalised; infinite where only `other` is 0."""
    first, second = one / one.sum(), other / other.sum()
    with np.errstate(divide="ignore"):
        return float(sum(first[first > 0] * np.log2(first[first > 0] / second[first > 0])))


def jensen_shannon(one: np.ndarray, other: np.ndarray) -> float:
    """Bits, 0 to 1; 1 when exactly one is empty."""
    if one.sum() == 0 or other.sum() == 0:
        return float(one.sum() != other.sum())
    first, second = one / one.sum(), other / other.sum()
    middle = (first + second) / 2
    return (kullback_leibler(first, other=middle) + kullback_leibler(second, other=middle)) / 2


def gini(counts: np.ndarray) -> float:
    """Half the mean absolute difference of all pairs, over the mean; 0 for nothing."""
    total, size = counts.sum(), len(counts)
    return float(2 * (np.arange(1, size + 1) @ np.sort(counts)) / (size * total) - (size + 1) / size) if total else 0.0


def missed(synthetic: np.ndarray, real: np.ndarray, *, top: int) -> float:
    """Share of the `top` real items that are not among as many synthetic ones; of equals the earlier row counts as more popular."""
    most = [set(np.argsort(-counts, kind="stable")[:top]) for counts in (synthetic, real)]
    return 1 - len(most[0] & most[1]) / top

"""Texts of the public catalogue become features where their words recur, and nothing where they do
not.
"""

from __future__ import annotations

import numpy as np

from synthrec.model.item_features import word_features

COLOURS, THINGS = ("red", "blue", "pink", "green"), ("mug", "bag", "lamp", "clock", "frame")


def descriptions(*, items: int = 200) -> list[str | None]:
    rng = np.random.default_rng(0)
    return [
        f"{rng.choice(COLOURS)} {rng.choice(THINGS)} SET OF {place}".upper()
        for place in range(items)
    ]


def test_words_that_recur_become_columns_and_axes_are_named_by_their_words() -> None:
    texts = descriptions()
    found = word_features("description", texts)
    assert found["description red"].tolist() == [float("RED " in (text or "")) for text in texts]
    axes = [name for name in found if " axis " in name]
    assert axes and all("&" in name for name in axes) and "description of" not in found
    assert all(len(column) == len(texts) and np.isfinite(column).all() for column in found.values())


def test_names_whose_words_do_not_recur_and_empty_texts_give_no_features() -> None:
    names = [
        "".join(np.random.default_rng(place).choice(list("abcdefgh"), 9)) for place in range(300)
    ]
    assert word_features("title", list(names)) == {}
    assert word_features("title", [None] * 300) == {} and word_features("title", []) == {}


def test_the_same_texts_give_the_same_features() -> None:
    one, other = word_features("d", descriptions()), word_features("d", descriptions())
    assert list(one) == list(other) and all((one[name] == other[name]).all() for name in one)

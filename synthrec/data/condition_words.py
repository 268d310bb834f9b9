"""The grammar of conditions: `name=a,b` names values, `name=1..5` a closed range of which one end may be left out.

Guarantees: reads words of the command line, or of a call, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from synthrec.errors import ConditionError

SHOWN = 12          # known values that a message lists, at most

Words = Mapping[str, object] | Iterable[str]
Range = tuple[float, float]


def named(words: Words, option: str) -> dict[str, str]:
    """Each condition's name and text; a mapping may hold a value, a list of values or text."""
    if isinstance(words, str):
        words = [words]
    pairs = [(str(name), _text(value)) for name, value in words.items()] if isinstance(words, Mapping) else [
        (name.strip(), text.strip()) for name, _, text in (word.partition("=") for word in words)]
    for place, (name, text) in enumerate(pairs):
        if not name or not text:
            raise ConditionError("a condition is written name=a,b or name=1..5", found=f"--{option} {name or text or 'without words'}",
                                 remedy=f"For example --{option} year=1990..1999.")
        if name in [earlier for earlier, _ in pairs[:place]]:
            raise ConditionError(f"--{option} may name each attribute once", found=f"{name} twice", remedy="Write name=a,b for either.")
    return dict(pairs)


def _text(value: object) -> str:
    return ",".join(str(each) for each in value) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)


def number_range(text: str, *, name: str) -> Range | None:
    """The ends of `1..5`, `1..` or `..5`; None if the text is no range."""
    if ".." not in text:
        return None
    ends = text.split("..")
    numbers = [number(end) if end else end for end in (each.strip() for each in ends)]
    if len(ends) != 2 or None in numbers or numbers == ["", ""]:
        raise ConditionError("a range is written 1..5, 1.. or ..5", found=f"{name}={text}", remedy="Correct that condition.")
    low, high = (-np.inf if numbers[0] == "" else float(str(numbers[0]))), (np.inf if numbers[1] == "" else float(str(numbers[1])))
    if low > high:
        raise ConditionError("a range must not be empty", found=f"{name}={text}", remedy="Write the smaller number first.")
    return low, high


def number(text: str) -> float | None:
    """A finite number, or None."""
    try:
        found = float(text)
    except ValueError:
        return None
    return found if np.isfinite(found) else None


def listed(names: Iterable[object]) -> str:
    """Names for a message, the first few if they are many."""
    every = [str(name) for name in names]
    return ", ".join(every[:SHOWN]) + (f" and {len(every) - SHOWN} more" if len(every) > SHOWN else "")

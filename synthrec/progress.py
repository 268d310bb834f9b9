"""How long work tells how far it is; the command line draws it, a library user hears nothing.

Guarantees: whoever reports progress passes public or paid values only (rule: two channels).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[..., None]


class Progress:
    """Silent progress: the default in Python. `synthrec.cli.progress` has the one that draws."""

    @contextmanager
    def stage(self, name: str, *, total: int | None = None) -> Iterator[Advance]:
        """One named stage of `total` units; yields `advance(count=1, note="")`, `note` e.g.
        "epsilon charged 2.31".
        """
        yield lambda count=1, note="": None

    def say(self, line: str) -> None:
        """A line worth reading once."""

"""Less post-processing: what follows the last noise cannot break privacy, so checks of the mechanism need not wait for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from synthrec.model import calibration, game, marks, watch

FEWER = ((calibration, "USERS", 150), (game, "STANDARD_USERS", 256), (watch, "USERS", 256), (marks, "FITTING_ROUNDS", 2),
         (marks, "FITTING_VISITS", 100), (marks, "FITTING_USERS", 100))


@contextmanager
def less_to_calibrate() -> Iterator[None]:
    """Inside, synthetic users that only tune the output are few."""
    with ExitStack() as stack:
        for module, name, value in FEWER:
            stack.enter_context(patch.object(module, name, value))
        yield

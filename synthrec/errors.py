"""Every error that synthrec raises on purpose: the rule, what was found, what to do.

Guarantees: a message never holds a user id, a cell of the log or a private count; callers pass only
public or paid values. Library exceptions that may quote cells are re-raised as one of these `from
None`.
"""

from __future__ import annotations

LONGEST_NAME = 60


def printable(name: object) -> str:
    """A name that a file made elsewhere holds, fit for a terminal: no control characters, no more
    than a line of it.
    """
    text = str(name)
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:LONGEST_NAME])
    return shown + ("..." if len(text) > LONGEST_NAME else "")


class Advice(str):
    """What to do after an error of any kind: a note to it (`add_note`) in our words, which may be
    shown.
    """


class SynthrecError(Exception):
    """The operator must change something (exit code 2).

    Args:
        rule: what must hold, for example `"sampling_rate must be in (0, 1]"`.
        found: what was found instead; never a value of the log.
        remedy: what to do about it, a whole sentence.
    """

    exit_code = 2

    def __init__(self, rule: str, *, found: str, remedy: str) -> None:
        super().__init__(rule, found, remedy)
        self.rule, self.found, self.remedy = rule, found, remedy

    def __str__(self) -> str:
        return f"{self.rule}; found {self.found}. {self.remedy}"


class SchemaError(SynthrecError):
    """The configuration does not say what it must, or contradicts itself."""


class DataError(SynthrecError):
    """A file cannot be read as what the schema says it is."""


class PlanError(SynthrecError):
    """The privacy plan is infeasible or its numbers are out of range."""


class BudgetError(SynthrecError):
    """The source's ledger does not allow this spending, or cannot be trusted."""


class ReleaseError(SynthrecError):
    """A release folder is missing a file, was altered, or already exists."""


class ConditionError(SynthrecError):
    """A sample is asked for what the schema, the catalogue or the release does not know."""

"""The privacy argument points at code and tests that exist, and leaves no mechanism out."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from synthrec.forecast import UNIT_WORDS
from tests.conftest import REPOSITORY

DOCUMENTS = (REPOSITORY / "docs" / "privacy.md", REPOSITORY / "SECURITY.md")
REFERENCE = re.compile(r"`((?:synthrec|tests)/[\w/]+\.py):(:?)([\w.]+)`")
FEWEST = 20  # references in the argument: a pattern that finds none would pass everything


@cache
def defined(path: Path) -> frozenset[str]:
    """Functions and classes of a file, methods as Class.method."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}.{part.name}"
                for part in node.body
                if isinstance(part, ast.FunctionDef)
            }
    return frozenset(found)


def missing(text: str) -> list[str]:
    """References to what is not there."""
    return [
        f"{path}:{name}"
        for path, _, name in REFERENCE.findall(text)
        if not (REPOSITORY / path).is_file() or name not in defined(REPOSITORY / path)
    ]


def without_section(text: str) -> set[str]:
    """Mechanisms that a plan can hold and the text has no section for; a column's name after "of"
    is not part of a mechanism's.
    """
    sections = set(re.findall(r"(?m)^### (\w+)$", text))
    return {name.split(" of ")[0] for name in (*UNIT_WORDS, "game")} - sections


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_function_and_test_that_a_privacy_document_names_exists(document: Path) -> None:
    assert missing(document.read_text(encoding="utf-8")) == []


def test_every_mechanism_that_a_plan_can_hold_has_a_section_and_the_argument_points_at_code_and_tests() -> (
    None
):
    text = DOCUMENTS[0].read_text(encoding="utf-8")
    assert without_section(text) == set()
    kinds = [kind for _, kind, _ in REFERENCE.findall(text)]
    assert kinds.count("") > FEWEST and kinds.count(":") > FEWEST


def test_a_function_that_is_gone_and_a_mechanism_left_out_would_be_noticed() -> None:
    assert missing(
        "`synthrec/privacy/mechanisms.py:noisy_mean` `tests/test_nothing.py::test_it`"
    ) == ["synthrec/privacy/mechanisms.py:noisy_mean", "tests/test_nothing.py:test_it"]
    assert missing("`synthrec/privacy/ledger.py:Ledger.charge`") == []
    assert "pairs" in without_section(
        DOCUMENTS[0].read_text(encoding="utf-8").replace("### pairs\n", "")
    )

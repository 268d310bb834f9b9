"""Nothing below synthrec/ replaces a part of another module or class: `synthrec run` checks the
mechanism in the process that holds the log, so what is exchanged there (noise, instruments) comes
as an argument.
"""

from __future__ import annotations

import ast

import pytest

from tests.test_imports import package_sources

MOCKING = ("unittest", "mock", "pytest", "_pytest")
WRITERS = ("setattr", "delattr", "globals", "vars", "__setattr__", "__delattr__")


def replacements(source: str) -> list[str]:
    """Lines that replace, or could replace, what another module or a class holds."""
    tree, found = ast.parse(source), []
    outside = {"sys"}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            outside |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ClassDef):
            outside.add(node.name)
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if any(name.split(".")[0] in MOCKING for name in names):
            found.append(f"line {node.lineno}: imports {names[0]}")  # type: ignore[attr-defined]
        if (
            isinstance(node, ast.Call)
            and (getattr(node.func, "id", None) or getattr(node.func, "attr", None)) in WRITERS
        ):
            found.append(f"line {node.lineno}: calls a writer of attributes")
        if isinstance(node, ast.Global):
            found.append(f"line {node.lineno}: global")
        if (
            isinstance(node, (ast.Attribute, ast.Subscript))
            and isinstance(node.ctx, (ast.Store, ast.Del))
            and _root(node) in outside
        ):
            found.append(f"line {node.lineno}: assigns to a part of {_root(node)}")
    return found


def _root(node: ast.AST) -> str | None:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def test_no_file_of_the_package_replaces_a_part_of_another_module_or_of_a_class() -> None:
    assert {
        path: lines for path, source in package_sources().items() if (lines := replacements(source))
    } == {}


@pytest.mark.parametrize(
    "source",
    [
        "from unittest.mock import patch",
        "import unittest",
        "import mock",
        "import pytest",
        "from synthrec.privacy import mechanisms\nmechanisms.noise = None",
        "import a.b\na.b.c, d = 1, 2",
        "import a\ndel a.b",
        "from a import B\nB.step = None",
        "from a import b\nsetattr(b, 'c', 1)",
        "class A:\n    pass\nA.x = 1",
        "import a\na.b += 1",
        "import a\nwith open('x') as a.b:\n    pass",
        "import a\nfor a.b in ():\n    pass",
        "import sys\nsys.modules['a'] = None",
        "import a\na.__dict__['b'] = 1",
        "import a\nvars(a)['b'] = 1",
        "def f():\n    from a import b\n    b.c = 1",
        "X = 1\ndef f():\n    global X\n    X = 2",
        "import a\nobject.__setattr__(a, 'b', 1)",
    ],
)
def test_each_way_to_replace_something_is_seen(source: str) -> None:
    assert replacements(source)


def test_what_an_object_does_to_itself_is_not_flagged() -> None:
    assert (
        replacements(
            "import a\nclass B:\n    def __init__(self):\n        self.x = a.b\n        self.y[a.c] = 1\nb = B()\nb.x = 2"
        )
        == []
    )

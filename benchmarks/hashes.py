"""What a figure depends on, as hashes: code without comments and docstrings, and files."""

from __future__ import annotations

import ast
import hashlib
from functools import lru_cache
from pathlib import Path

HERE = Path(__file__).parent


@lru_cache
def code_hash(rooms: tuple[str, ...], *, ours: tuple[str, ...]) -> str:
    """Of the sources of rooms of synthrec/ and of files of benchmarks/."""
    package = HERE.parent / "synthrec"
    files = [path for room in rooms for path in sorted((package / room).rglob("*.py"))] + [
        HERE / name for name in ours
    ]
    return text_hash(*(bare(path.read_text(encoding="utf-8")) for path in files))


@lru_cache
def file_hash(path: Path) -> str:
    """Of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def text_hash(*parts: str) -> str:
    """Of texts, in order."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def bare(source: str) -> str:
    """A source without comments and docstrings: what it does, not what it says."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)

"""The terminal: the one place where synthrec prints.

Guarantees: no text can steer the terminal or pass for a line of ours, whatever file it was read
from: of what is printed, control characters, line ends and marks that turn the direction of writing
are shown as escapes (`\\x1b`, `\\n`, `\\u202e`).
"""

from __future__ import annotations

import unicodedata

import click

STEERING = {
    "Cc",
    "Cf",
    "Cs",
    "Zl",
    "Zp",
}  # Unicode's categories of control, format and half characters, and of line ends
JOINERS = "\u200c\u200d"  # of scripts and of emoji


def show(text: str = "", *, err: bool = False) -> None:
    """One line; line ends before it are empty lines."""
    line = text.lstrip("\n")
    click.echo("\n" * (len(text) - len(line)) + plain(line), err=err)


def show_wrapped(text: str) -> None:
    """A paragraph, after an empty line."""
    show()
    for line in click.wrap_text(text, width=100).split("\n"):
        show(line)


def plain(text: str) -> str:
    """A line that only prints."""
    if text.isprintable():
        return text
    steers = {
        letter
        for letter in text
        if unicodedata.category(letter) in STEERING and letter not in JOINERS
    }
    return "".join(
        letter.encode("unicode_escape").decode() if letter in steers else letter for letter in text
    )

"""Write the commands of docs/reference.md from the command line itself: `python docs/reference.py`.

A test compares, so an option that is new or reworded asks for another run.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from synthrec.cli.main import cli

PAGE = Path(__file__).with_name("reference.md")
BEGIN = "<!-- commands:begin, by `python docs/reference.py` -->"
END = "<!-- commands:end -->"


def commands(group: click.Group, before: str) -> Iterator[tuple[str, click.Command]]:
    """Each command that does something, with the words that call it."""
    for name, command in group.commands.items():
        words = f"{before} {name}"
        yield from (
            commands(command, words) if isinstance(command, click.Group) else ((words, command),)
        )


def block() -> str:
    """The commands' part of the page."""
    return "\n\n".join(_section(words, command) for words, command in commands(cli, "synthrec"))


def inside(text: str) -> str:
    """What stands between the marks."""
    return text.partition(BEGIN)[2].partition(END)[0].strip("\n")


def _section(words: str, command: click.Command) -> str:
    context = click.Context(command, info_name=words)
    usage = " ".join(command.collect_usage_pieces(context))
    paragraphs = inspect.cleandoc(command.help or "").replace("\b\n", "").split("\n\n")
    records = [
        option.get_help_record(context) or ("", "")
        for option in command.params
        if isinstance(option, click.Option)
    ]
    table = [f"| `{_cell(left)}` | {_cell(right)} |" for left, right in records]
    head = f"### {words}\n\n`{words} {usage}`\n\n{_sentence(paragraphs[0])}"
    return head + ("\n\n| option | effect |\n|---|---|\n" + "\n".join(table) if table else "")


def _sentence(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _sentence(text).replace("|", "\\|")


def main() -> None:
    """Rewrite the page's block."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{block()}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()

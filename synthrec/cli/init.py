"""`synthrec init`: propose a configuration for a log."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from synthrec.cli.options import FILE, log_argument
from synthrec.cli.terminal import show, show_wrapped
from synthrec.storage import write_atomic, write_new_text


@click.command(
    short_help="Propose a configuration for a log of your own.",
    epilog='Next: replace every "?" and then try `synthrec plan synthrec.toml --epsilon 3 --delta 1e-5`.',
)
@log_argument
@click.option(
    "--out",
    metavar="TOML",
    default="synthrec.toml",
    show_default=True,
    type=FILE,
    help="File to write.",
)
@click.option(
    "--values-are-public",
    metavar="COLUMN",
    multiple=True,
    help="Fill in values, smallest and largest of this column from the log: you declare them public, and the file says so. Repeatable.",
)
@click.option(
    "--no-input",
    is_flag=True,
    help='Ask nothing, also on a terminal: the file then says "?" where your word is needed.',
)
def init(log: str, out: Path, values_are_public: tuple[str, ...], no_input: bool) -> None:
    """Propose a configuration for LOG, a CSV, Parquet or JSON-lines file, a glob or a folder.

    Names and file format are looked at, values are not. Where a declaration of yours is needed you
    are asked for it, if this is a terminal; what is not answered stands as "?" in the file.
    """
    from synthrec.cli.interview import interview
    from synthrec.data.files import find_files
    from synthrec.data.propose import double_colons, propose, rewrite_double_colons

    asks = not no_input and sys.stdin.isatty() and sys.stdout.isatty()
    if asks and double_colons(log):
        show(f"{log} separates its columns by :: and does not name them.")
        if click.confirm("Write it as CSV beside, with the names of MovieLens?", default=True):
            log = str(rewrite_double_colons(Path(log)))
    text = propose(log, values_are_public=values_are_public, folder=out.parent)
    write_new_text(out, text)
    if asks:
        first = find_files(log)[0]
        show(f"{log}: {first.format}, columns {', '.join(first.columns)}. No value was read.")
        show_wrapped(
            "Your answers are PUBLIC: give what you know without the log. Enter takes what stands in [brackets], ? leaves a line open."
        )
        text = interview(text)
        write_atomic(out, text)
    questions = [
        line.split("=")[0].strip() for line in text.splitlines() if '"?"' in line.split("#")[0]
    ]
    show(f"\nWrote {out}.")
    if questions:
        show(f'{len(questions)} lines wait for your word (marked "?"): {", ".join(questions)}.')
    show(f"Then: synthrec plan {out} --epsilon 3 --delta 1e-5")

"""`synthrec audit`: attack a synthetic log and measure its use, on the real one; a release of ours,
or any tool's tables.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click

from synthrec.cli.options import FILE, Command, quiet_option

NEEDED = ("config", "synthetic", "members", "holdout", "out")
LOGS = ("synthetic", "synthetic_users", "members", "holdout", "reference", "fair_coins")


def table_option(name: str, help_text: str) -> Callable[[Command], Command]:
    """A log by its path."""
    return click.option(f"--{name}", metavar="EVENTS", help=help_text)


@click.command(
    short_help="Attack a synthetic log and measure its use.",
    epilog="The audit's figures are measured on the real log, so they stay below private/. Next: `synthrec report RELEASE`.",
)
@click.argument("subjects", metavar="[RELEASE]", nargs=-1, type=FILE)
@click.option(
    "--compare",
    is_flag=True,
    help="Of several, synthetic logs or releases: audit all on the same people, side by side.",
)
@click.option("--log", metavar="LOG", help="With RELEASE: the log that it was made from.")
@click.option(
    "--sacrifice",
    is_flag=True,
    help="With RELEASE, if it trained on everybody: attack a second run of its plan on a "
    "part of the users. Charged to the ledger as internal.",
)
@click.option(
    "--config",
    metavar="TOML",
    type=FILE,
    help="Without RELEASE: what the columns of the tables mean.",
)
@table_option("synthetic", "Without RELEASE: another tool's synthetic log.")
@click.option(
    "--synthetic-users",
    metavar="TABLE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Without RELEASE: the synthetic log's user table, to compare attributes.",
)
@table_option("members", "Without RELEASE: the users whom that tool was trained on.")
@table_option("holdout", "Without RELEASE: users like them whom it was not trained on.")
@table_option(
    "reference",
    "Without RELEASE: further such users, known to the attacker.  [default: some of the holdout users]",
)
@click.option(
    "--fair-coins",
    is_flag=True,
    help="Without RELEASE: each user became a member, or a holdout user, by a fair coin.",
)
@click.option("--epsilon", type=float, help="Without RELEASE: the tool's claim, per user.")
@click.option("--delta", type=float, help="Without RELEASE: the tool's claim.")
@click.option(
    "--out",
    metavar="FOLDER",
    type=FILE,
    help="Without RELEASE: audit.json goes to FOLDER/private.",
)
@click.option(
    "--quick/--full",
    "quick",
    default=True,
    help="A few minutes, or everything with more draws.  [default: quick]",
)
@click.option(
    "--known",
    metavar="COLUMN",
    multiple=True,
    help="Columns that an intruder knows of a person.  [default: all]",
)
@click.option(
    "--secret",
    metavar="COLUMN",
    multiple=True,
    help="Columns that an intruder would infer.  [default: all]",
)
@click.option(
    "--within-claim-is-fine",
    is_flag=True,
    help="Exit code 0 for a leak that contradicts no claim of epsilon. The record says so.",
)
@click.option("--verbose", is_flag=True, help="Every figure, not a summary of twenty lines.")
@quiet_option
def audit(
    subjects: tuple[Path, ...],
    compare: bool,
    log: str | None,
    sacrifice: bool,
    quick: bool,
    known: tuple[str, ...],
    secret: tuple[str, ...],
    within_claim_is_fine: bool,
    verbose: bool,
    quiet: bool,
    **tables: Any,
) -> None:
    """Attack a synthetic log with real people at hand, and measure how useful it is. Ends with exit
    code 1 if a leak is detected.

    \b
    synthrec audit RELEASE --log LOG
    synthrec audit --config TOML --synthetic EVENTS --members EVENTS --holdout EVENTS --out FOLDER
    synthrec audit --compare A B C --config TOML --members EVENTS --holdout EVENTS --out FOLDER
    synthrec audit --compare RELEASE RELEASE --log LOG --out FOLDER

    An audit that was interrupted goes on where it was when the same command is given again.
    """
    from synthrec import pipeline
    from synthrec.auditing import Choices, Tables
    from synthrec.cli.outcome import echo_audit, echo_comparison
    from synthrec.cli.progress import progress_for
    from synthrec.cli.terminal import show
    from synthrec.data.schema import Schema

    choices = Choices(known, secret, within_claim_is_fine)
    given = [name for name, value in tables.items() if value]
    effort: Literal["quick", "full"] = "quick" if quick else "full"
    progress = progress_for(quiet=quiet)
    if compare:
        needed = ("out",) if log is not None else ("config", "members", "holdout", "out")
        _require_words(
            given, needed=needed, allowed=(*needed, "reference") if log is None else needed
        )
        if len(subjects) < 2 or sacrifice:
            raise click.UsageError("--compare is for two or more synthetic logs, or releases")
        compared = pipeline.compare(
            subjects,
            log=log,
            schema=None if log is not None else Schema.load(tables["config"]),
            **{name: tables[name] for name in ("out", "members", "holdout", "reference")},
            effort=effort,
            choices=choices,
            progress=progress,
        )
        echo_comparison(compared, folder=tables["out"])
        click.get_current_context().exit(compared.exit_code)
    if len(subjects) > 1:
        raise click.UsageError("several synthetic logs or releases are audited with --compare")
    if subjects:
        if log is None or given:
            raise click.UsageError(
                "a release is audited with its log: synthrec audit RELEASE --log LOG"
            )
        record = pipeline.audit(
            subjects[0],
            log=log,
            effort=effort,
            sacrifice=sacrifice,
            choices=choices,
            progress=progress,
        )
    else:
        if log is not None or sacrifice:
            raise click.UsageError("--log and --sacrifice go with a RELEASE")
        _require_words(given, needed=NEEDED, allowed=tuple(tables))
        record = pipeline.audit_tables(
            Tables(**{name: tables.pop(name) for name in LOGS}),
            schema=Schema.load(tables.pop("config")),
            **tables,  # out, epsilon, delta
            effort=effort,
            choices=choices,
            progress=progress,
        )
    echo_audit(record, verbose=verbose)
    if not subjects:
        show(f"{'page':<30}{tables['out'] / 'private' / pipeline.AUDIT_PAGE}")
    click.get_current_context().exit(record.exit_code)


def _require_words(given: list[str], *, needed: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    if missing := [f"--{name}" for name in needed if name not in given]:
        raise click.UsageError(
            f"say what to audit: RELEASE, or tables; of these {', '.join(missing)} is missing"
        )
    if others := [f"--{name.replace('_', '-')}" for name in given if name not in allowed]:
        raise click.UsageError(f"{', '.join(others)} does not go with --compare")

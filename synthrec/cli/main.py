"""`synthrec`: the command line. Each command has its own file, or one with its like;
this one gathers them and knows the order a newcomer needs.

Nothing heavy is imported before a command runs, so that `synthrec --help` answers at once.
"""

from __future__ import annotations

from typing import Any

import click

from synthrec import __version__
from synthrec.cli.audit import audit
from synthrec.cli.boundary import Boundary
from synthrec.cli.check import check
from synthrec.cli.demo import demo
from synthrec.cli.explain import explain
from synthrec.cli.init import init
from synthrec.cli.inspect import inspect
from synthrec.cli.ledger import ledger
from synthrec.cli.plan import plan
from synthrec.cli.purge import purge
from synthrec.cli.report import report
from synthrec.cli.sample import sample
from synthrec.cli.training import fit, run
from synthrec.cli.verify import verify


class Commands(click.Group):
    """Commands in the order in which they are needed; every error becomes one message and an exit
    code.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """As added, not by the alphabet."""
        return list(self.commands)

    def main(self, *words: Any, **options: Any) -> Any:
        """The boundary where errors become exit codes: around what click itself prints of them, ..."""
        with Boundary():
            return super().main(*words, **options)

    def make_context(self, *words: Any, **options: Any) -> click.Context:
        """... around --help and --version, ..."""
        with Boundary():
            return super().make_context(*words, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """... and around a command; of what ends here, click hears the exit code alone."""
        with Boundary():
            return super().invoke(ctx)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 fine; 1 a leak was detected, a claim refuted or a check failed; 2 you must change something; "
    "3 the audit is inconclusive or was not run; 70 our bug; 130 interrupted; 141 the reader of the output has gone.",
)
@click.version_option(__version__, prog_name="synthrec")
def cli() -> None:
    """Make a synthetic copy of a user-behaviour log that is differentially private for each user,
    audit it, and report on it.

    \b
    Never tried it?     synthrec demo
    A log of your own?  synthrec init LOG, then plan, then run
    """


for _command in (
    demo,
    init,
    plan,
    check,
    run,
    fit,
    sample,
    explain,
    audit,
    report,
    inspect,
    verify,
    purge,
    ledger,
):
    cli.add_command(_command)

"""`synthrec check`: the operator's exact diagnostics. PRIVATE: nothing that it prints may leave."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from synthrec.cli.options import config_option, exclude_option, log_argument, quiet_option
from synthrec.cli.terminal import show


@click.command(short_help="Count exactly what the configuration does to a log (PRIVATE).")
@log_argument
@config_option
@exclude_option
@quiet_option
def check(log: str, config: Path, exclude_users: Path | None, quiet: bool) -> None:
    """Count, exactly, what the configuration does to LOG. Every line is PRIVATE: for you, not for a
    report.

    It feeds nothing else: a figure that you carry from here into the configuration was chosen with
    sight of the log, and no budget pays for that. Nothing is written but scratch files below
    private/ beside the configuration, which are removed again.
    """
    from synthrec.cli.progress import progress_for
    from synthrec.data.catalogue import Catalogue
    from synthrec.data.check import diagnose
    from synthrec.data.schema import Schema

    schema = Schema.load(config)
    catalogue = None if schema.item_column.is_open else Catalogue.read(schema)
    with _scratch(config.parent / "private") as spill:
        diagnostics = diagnose(
            log,
            schema,
            catalogue,
            spill=Path(spill),
            exclude_users=exclude_users,
            progress=progress_for(quiet=quiet),
        )
    for line in diagnostics.lines():
        show(line)


def _scratch(private: Path) -> tempfile.TemporaryDirectory[str]:
    from synthrec.errors import DataError

    try:
        private.mkdir(mode=0o700, exist_ok=True)
        return tempfile.TemporaryDirectory(prefix="check-", dir=private)
    except OSError as error:
        raise DataError(
            f"{private} must be writable for scratch files",
            found=error.strerror or type(error).__name__,
            remedy="Make the configuration's folder writable, or copy the configuration elsewhere.",
        ) from None

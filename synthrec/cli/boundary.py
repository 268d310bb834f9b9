"""Where errors become exit codes: one message for the operator, and never a value of the log.

Guarantees: of an exception that is not ours only its type and the places in our own files are
shown, no message and no variable (rule: two channels); warnings and log lines of libraries, which
may quote cells, are not shown at all.

Exit codes besides those of the commands: 2 what the machine refuses (a full disk, a name too long),
70 our bug, 130 interrupted, 141 the reader of our output has gone, as the shell says it of a
program that a broken pipe ended. Never 1: that is a leak.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import threading
import warnings
from contextlib import ExitStack, suppress
from pathlib import Path
from traceback import walk_tb
from types import TracebackType

import click

from synthrec.cli.terminal import show
from synthrec.errors import Advice, SynthrecError

REQUESTS_TO_END = (signal.SIGTERM, signal.SIGHUP)
OUR_BUG, INTERRUPTED, READER_GONE = 70, 130, 141
_PACKAGE = Path(__file__).resolve().parents[1]


class Boundary:
    """Context in which a command runs; leaves by an exit code."""

    def __enter__(self) -> Boundary:
        self._afterwards = ExitStack()
        self._afterwards.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        self._afterwards.callback(logging.disable, logging.root.manager.disable)
        logging.disable(logging.CRITICAL)
        # nobody else may listen to signals
        in_charge = threading.current_thread() is threading.main_thread()
        for each in REQUESTS_TO_END if in_charge else ():
            if signal.getsignal(each) is signal.SIG_DFL:
                self._afterwards.callback(signal.signal, each, signal.SIG_DFL)
                signal.signal(each, signal.default_int_handler)  # cleaned up after, like Ctrl-C
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._afterwards.close()
        if error is None or isinstance(
            error, click.ClickException | click.Abort | click.exceptions.Exit | SystemExit
        ):
            return
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            for stream in (sys.stdout, sys.stderr):  # or Python complains of what is left in them
                with suppress(OSError, ValueError):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            sys.exit(READER_GONE)
        message, code = describe(error)
        with suppress(OSError):
            for line in (
                f"synthrec: {message}",
                *(note for note in getattr(error, "__notes__", ()) if isinstance(note, Advice)),
            ):
                show(line, err=True)
        sys.exit(code)


def describe(error: BaseException) -> tuple[str, int]:
    """The one message for an error, and the exit code."""
    if isinstance(error, SynthrecError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return (
            "interrupted. No half-written file passes for a whole one; what the ledger was charged stays charged.",
            INTERRUPTED,
        )
    frames = walk_tb(error.__traceback__)
    paths = [(Path(frame.f_code.co_filename).resolve(), line) for frame, line in frames]
    places = [
        f"{path.relative_to(_PACKAGE.parent)}:{line}"
        for path, line in paths
        if path.is_relative_to(_PACKAGE)
    ]
    where = " < ".join(reversed(places)) or "no file of synthrec"
    if isinstance(error, OSError) and error.errno:
        return (
            f"files and terminal must be usable; found {os.strerror(error.errno)} in {where}. "
            "Free space, or correct the path or its permissions."
        ), 2
    return (
        f"this is a bug of synthrec, not of your log or your configuration: {type(error).__name__} in {where}. "
        "No value of the log is in this line; please report it with the version that `synthrec --version` prints."
    ), OUR_BUG

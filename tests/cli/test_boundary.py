from __future__ import annotations

import errno
import logging
import os
import signal
import warnings
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

from synthrec.cli.main import Commands, cli
from synthrec.errors import Advice, BudgetError

MARK = "zebra-user-4711"


def command_that(body: object) -> click.Group:
    group = Commands("synthrec")

    @group.command()
    def go() -> None:
        assert callable(body)
        body()

    return group


def our_bug() -> None:
    """A failure inside a file of synthrec, with a value of the log in its message."""
    from synthrec import storage

    module = ModuleType("stand-in")
    exec(
        compile(f"def fail():\n    raise ValueError('{MARK}')", storage.__file__, "exec"),
        module.__dict__,
    )
    module.fail()


def raises(error: BaseException) -> object:
    def body() -> None:
        raise error

    return body


def test_an_error_of_ours_is_one_message_with_rule_finding_and_remedy_and_exit_code_2() -> None:
    error = BudgetError("epsilon must fit below the cap", found="9", remedy="Raise the cap.")
    result = CliRunner().invoke(command_that(raises(error)), ["go"])
    assert result.exit_code == 2
    assert result.stderr == "synthrec: epsilon must fit below the cap; found 9. Raise the cap.\n"
    assert result.stdout == ""


def test_a_request_to_end_is_obeyed_like_ctrl_c() -> None:
    result = CliRunner().invoke(command_that(lambda: signal.raise_signal(signal.SIGTERM)), ["go"])
    assert result.exit_code == 130 and "No half-written file" in result.stderr
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize(
    ("number", "code"), [(errno.EPIPE, 141), (errno.ENOSPC, 2), (errno.ENAMETOOLONG, 2)]
)
def test_what_the_machine_refuses_is_no_bug_and_never_the_code_of_a_leak(
    number: int, code: int
) -> None:
    result = CliRunner().invoke(command_that(raises(OSError(number, MARK, MARK))), ["go"])
    assert result.exit_code == code and MARK not in result.output
    assert (os.strerror(number) in result.stderr) == (code == 2)


def test_advice_is_shown_with_any_error_and_other_notes_are_not() -> None:
    error = MemoryError()
    error.add_note(MARK)
    error.add_note(Advice("Continue it."))
    result = CliRunner().invoke(command_that(raises(error)), ["go"])
    assert result.stderr.endswith("Continue it.\n") and MARK not in result.output


def test_a_bug_shows_type_and_place_but_neither_message_nor_values() -> None:
    result = CliRunner().invoke(command_that(our_bug), ["go"])
    assert result.exit_code == 70
    assert "ValueError" in result.stderr and "synthrec/storage.py:2" in result.stderr
    assert MARK not in result.output


def test_a_chained_bug_shows_no_message_of_its_cause_either() -> None:
    def body() -> None:
        try:
            raise KeyError(MARK)
        except KeyError as error:
            raise RuntimeError(MARK) from error

    assert MARK not in CliRunner().invoke(command_that(body), ["go"]).output


def test_ctrl_c_ends_with_130() -> None:
    result = CliRunner().invoke(command_that(raises(KeyboardInterrupt())), ["go"])
    assert result.exit_code == 130 and "interrupted" in result.stderr


def test_running_out_of_memory_is_reported_like_a_bug_and_not_as_a_trace() -> None:
    result = CliRunner().invoke(command_that(raises(MemoryError(MARK))), ["go"])
    assert result.exit_code == 70 and MARK not in result.output


def test_warnings_and_log_lines_of_libraries_are_not_printed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def body() -> None:
        warnings.warn(MARK, stacklevel=1)
        logging.getLogger("library").error(MARK)

    CliRunner().invoke(command_that(body), ["go"], catch_exceptions=False)
    assert MARK not in "".join(capfd.readouterr())
    assert logging.root.manager.disable == 0, "the boundary puts logging back"


@pytest.mark.parametrize("code", [0, 1, 3])
def test_an_exit_code_of_a_command_goes_through(code: int) -> None:
    assert (
        CliRunner()
        .invoke(command_that(lambda: click.get_current_context().exit(code)), ["go"])
        .exit_code
        == code
    )


def test_a_wrong_option_is_exit_code_2() -> None:
    assert CliRunner().invoke(cli, ["sample", "x", "--users", "none"]).exit_code == 2


def test_our_places_are_named_relative_to_the_package_and_no_path_of_the_machine_is_shown() -> None:
    assert str(Path.home()) not in CliRunner().invoke(command_that(our_bug), ["go"]).stderr.replace(
        "/root", str(Path.home())
    )

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from synthrec import __version__
from synthrec.cli.main import cli
from tests.conftest import REPOSITORY

COMMANDS = [
    "demo",
    "init",
    "plan",
    "check",
    "run",
    "fit",
    "sample",
    "explain",
    "audit",
    "report",
    "inspect",
    "verify",
    "purge",
    "ledger",
]


def test_help_lists_the_commands_in_the_order_in_which_a_newcomer_needs_them() -> None:
    text = CliRunner().invoke(cli, ["--help"]).output
    places = [text.index(f"\n  {name} ") for name in COMMANDS]
    assert places == sorted(places)
    assert "..." not in text[text.index("Commands:") :], "no summary is cut off"


@pytest.mark.parametrize("words", [[name] for name in COMMANDS] + [["ledger", "show"]])
def test_every_command_and_every_option_explains_itself(words: list[str]) -> None:
    result = CliRunner().invoke(cli, [*words, "--help"])
    assert result.exit_code == 0
    command = cli
    for word in words:
        command = command.commands[word]  # type: ignore[attr-defined, assignment]
    assert len(command.help or "") > 40
    for parameter in command.params:
        if parameter.param_type_name == "option":
            assert parameter.help, f"{words}: {parameter.name} has no help"  # type: ignore[attr-defined]


def test_version_is_printed() -> None:
    assert __version__ in CliRunner().invoke(cli, ["--version"]).output


def test_help_answers_in_half_a_second() -> None:
    command = [sys.executable, "-c", "from synthrec.cli.main import cli; cli(['--help'])"]
    seconds = []
    for _ in range(3):  # the best of three: another process may hold the core for a while
        begun = time.perf_counter()
        subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
        seconds.append(time.perf_counter() - begun)
    assert min(seconds) < 0.5, seconds

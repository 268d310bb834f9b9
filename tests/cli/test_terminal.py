"""Text that was read from a file cannot steer the terminal; a terminal that takes no more text ends
a command with a code of its own.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from synthrec import explain as explaining
from synthrec.cli.main import cli
from synthrec.cli.progress import BarProgress, LineProgress
from synthrec.cli.terminal import plain, show
from synthrec.errors import ReleaseError
from tests.conftest import REPOSITORY

HOSTILE = "\x1b]0;owned\x07 \x9b31m \u202eGNP\u2066 a\rb\nok    all is well \udce9"
SHOWN = r"\x1b]0;owned\x07 \x9b31m \u202eGNP\u2066 a\rb\nok    all is well \udce9"


def test_what_could_steer_a_terminal_is_shown_as_an_escape_and_all_else_as_it_is() -> None:
    assert plain(HOSTILE) == SHOWN
    for fine in ("Amélie", "千と千尋の神隠し", "\u3000", "می\u200cخواهم", "👩\u200d🚀", "a\xa0b"):
        assert plain(fine) == fine


def test_words_of_a_release_reach_standard_output_progress_and_errors_escaped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Found:
        def lines(self) -> list[str]:
            return [f"  axis 1  {HOSTILE}"]

    monkeypatch.setattr(explaining, "explain", lambda *_, **__: Found())
    assert CliRunner().invoke(cli, ["explain", "release"]).stdout == f"  axis 1  {SHOWN}\n"

    def refused(*_: object, **__: object) -> None:
        raise ReleaseError("a condition must hold", found=HOSTILE, remedy="Ask for another.")

    monkeypatch.setattr(explaining, "explain", refused)
    said = CliRunner().invoke(cli, ["explain", "release"])
    assert (
        said.exit_code == 2
        and SHOWN in said.stderr
        and "\x1b" not in said.stderr
        and len(said.stderr.splitlines()) == 1
    )
    for progress in (LineProgress(), BarProgress()):
        progress.say(HOSTILE)
        with progress.stage("\x1b[2J", total=1) as advance:
            advance(note="\x1b[31m")
        told = capsys.readouterr().err
        assert (
            "owned" in told
            and "\x1b]0" not in told
            and "\x1b[2J" not in told
            and "\u202e" not in told
        )


def test_only_one_function_prints() -> None:
    for path in (REPOSITORY / "synthrec" / "cli").glob("*.py"):
        printing = re.findall(
            r"click\.(?:echo|secho)\(|\bprint\(", path.read_text(encoding="utf-8")
        )
        assert len(printing) == {"terminal.py": 1, "progress.py": 1}.get(path.name, 0), (
            path.name
        )  # progress: of rich, what is plain


def test_empty_lines_before_a_line_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    show("\nutility")
    assert capsys.readouterr().out == "\nutility\n"


def synthrec(*words: str, out: object, err: object = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "synthrec", *words], cwd=REPOSITORY, stdout=out, stderr=err
    )  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("words", [("--help",), ("sample", "nothing")])
def test_a_pipe_whose_reader_has_gone_ends_with_141_and_a_full_disk_with_2(
    words: tuple[str, ...],
) -> None:
    process = synthrec(*words, out=subprocess.PIPE, err=subprocess.STDOUT)
    assert process.stdout is not None
    process.stdout.close()
    with Path("/dev/full").open("wb") as disk:
        second = synthrec(*words, out=disk, err=disk)
    assert (process.wait(), second.wait()) == (141, 2)


def test_python_m_synthrec_is_synthrec() -> None:
    process = synthrec("--version", out=subprocess.PIPE)
    assert process.communicate()[0].startswith(b"synthrec, version") and process.returncode == 0

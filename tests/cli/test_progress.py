from __future__ import annotations

import pytest

from synthrec.cli.progress import BarProgress, LineProgress, progress_for
from synthrec.progress import Progress


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_plain_lines_tell_step_note_and_time_left_but_not_at_every_step(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    with LineProgress(clock=clock).stage("training", total=100) as advance:
        for step in range(100):
            clock.now += 1.0
            advance(note=f"epsilon charged {step / 100:.2f}")
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == "", "results alone go to standard output"
    assert lines[0] == "training ..." and lines[-1] == "training: done in 2 min"
    assert "training: 10 of 100, epsilon charged 0.09, about 2 min left" in lines
    assert len(lines) == 12


def test_a_stage_without_total_says_when_it_begins_and_ends(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with LineProgress(clock=Clock()).stage("reading") as advance:
        advance()
    assert capsys.readouterr().err.splitlines() == ["reading ...", "reading: done in 0 s"]


def test_a_failed_stage_does_not_say_that_it_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError), LineProgress(clock=Clock()).stage("reading"):
        raise RuntimeError
    assert "done" not in capsys.readouterr().err


def test_quiet_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    progress = progress_for(quiet=True)
    assert type(progress) is Progress
    with progress.stage("training", total=2) as advance:
        advance(2, "epsilon charged 1.00")
    progress.say("a line")
    assert capsys.readouterr() == ("", "")


def test_without_a_terminal_lines_are_plain() -> None:
    assert isinstance(progress_for(quiet=False), LineProgress)


def test_bars_nest_end_and_survive_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    progress = BarProgress()
    with progress.stage("run"), progress.stage("training", total=3) as advance:
        for _ in range(3):
            advance(note="epsilon charged 0.50")
        progress.say("said [once]")
    with pytest.raises(KeyboardInterrupt), progress.stage("training", total=3):
        raise KeyboardInterrupt
    with progress.stage("again", total=1) as advance:
        advance()
    assert "said [once]" in capsys.readouterr().err

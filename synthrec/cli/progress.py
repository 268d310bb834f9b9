"""Progress as people see it: a bar on a terminal, plain lines in a file or a pipe, nothing with
`--quiet`.

It is drawn on standard error, so that standard output holds results alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from synthrec.cli.terminal import plain, show
from synthrec.progress import Advance, Progress

SECONDS_BETWEEN_LINES = 10.0


def progress_for(*, quiet: bool) -> Progress:
    """The progress that suits where standard error goes."""
    if quiet:
        return Progress()
    return BarProgress() if sys.stderr.isatty() else LineProgress()


class LineProgress(Progress):
    """Plain lines: when a stage begins, now and then how far it is, and when it is done."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock

    @contextmanager
    def stage(self, name: str, *, total: int | None = None) -> Iterator[Advance]:
        """One named stage; see `Progress.stage`."""
        begun = last = self._clock()
        done = 0
        self.say(f"{name} ...")

        def advance(count: int = 1, note: str = "") -> None:
            nonlocal done, last
            done += count
            now = self._clock()
            if now - last >= SECONDS_BETWEEN_LINES and total:
                last = now
                left = (now - begun) * (total - done) / max(done, 1)
                self.say(
                    f"{name}: {done:,} of {total:,}{f', {note}' if note else ''}, about {_duration(left)} left"
                )

        yield advance
        self.say(f"{name}: done in {_duration(self._clock() - begun)}")

    def say(self, line: str) -> None:
        """A line worth reading once."""
        show(line, err=True)


class BarProgress(Progress):
    """A bar per stage: how far, what was charged so far, time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            SpinnerColumn,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Bars

        self._bars = Bars(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=Console(stderr=True),
        )
        self._open = 0

    @contextmanager
    def stage(self, name: str, *, total: int | None = None) -> Iterator[Advance]:
        """One named stage; see `Progress.stage`. Stages may lie inside one another."""
        if not self._open:
            self._bars.start()
        self._open += 1
        task = self._bars.add_task(plain(name), total=total, note="")

        def advance(count: int = 1, note: str = "") -> None:
            self._bars.update(task, advance=count)
            if note:
                self._bars.update(task, note=plain(note))

        try:
            yield advance
            known = total if total is not None else 1
            self._bars.update(task, total=known, completed=known)
        finally:
            self._open -= 1
            if not self._open:
                self._bars.stop()
                for finished in self._bars.task_ids:
                    self._bars.remove_task(finished)

    def say(self, line: str) -> None:
        """A line worth reading once."""
        self._bars.console.print(plain(line), markup=False, highlight=False)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"

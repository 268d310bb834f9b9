"""A write, an fsync or a rename fails, or the process is killed: the ledger verifies and never
understates, no half file passes for a whole one, and the rerun succeeds.

Sites are counted once on an undisturbed run; then each in turn fails with an error of the operating
system. The quick suite takes one site of each kind and a few kills, `-m slow` all of them.
"""

from __future__ import annotations

import builtins
import errno
import io
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from safetensors import SafetensorError

from synthrec.cli.main import cli
from synthrec.model import artifact, recipe
from synthrec.privacy import ledger as ledger_module
from synthrec.privacy.ledger import Ledger
from synthrec.privacy.mechanisms import SystemNoise
from synthrec.release import Folder
from synthrec.report.manifest import verify_manifest
from synthrec.synthesizer import Synthesizer
from tests.conftest import REPOSITORY
from tests.data.small import CONFIG as SMALL
from tests.data.small import events, write_tables
from tests.model.small import quick, solve_once

MARK = "zebra-"
BUDGET = ("--epsilon", "8", "--delta", "1e-4")
LIKELY = (errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES)
STEPS = 12


def put(folder: Path) -> Path:
    """A small log with its tables."""
    write_tables(folder)
    frame = events(users=40).astype({"user_id": str})
    frame.assign(user_id=MARK + frame["user_id"]).to_csv(folder / "log.csv", index=False)
    text = SMALL.replace("population = 50", "population = 900").replace(
        "epsilon_cap = 10.0", "epsilon_cap = 1000.0"
    )
    (folder / "synthrec.toml").write_text(
        text.replace('{ role = "user" }', '{ role = "user", type = "text" }'), encoding="utf-8"
    )
    return folder


def call(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def fit_words(folder: Path, out: str = "release") -> tuple[object, ...]:
    return (
        "fit",
        folder / "log.csv",
        "--config",
        folder / "synthrec.toml",
        *BUDGET,
        "--device",
        "cpu",
        "--out",
        folder / out,
    )


def sample_words(folder: Path, out: str) -> tuple[object, ...]:
    return ("sample", folder / "release", "--users", "20", "--seed", "1", "--out", folder / out)


def shorten(patch: pytest.MonkeyPatch) -> None:
    """A short game after measurements that nothing spares."""
    quick(patch)
    solve_once(patch)
    honest = recipe.game

    def game(schema: Any, **options: Any) -> Any:
        found = honest(schema, **options)
        return found and found.model_copy(update={"steps": STEPS, "fakes_per_step": 16})

    patch.setattr(recipe, "game", game)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch)


class Draws:
    """How often each mechanism's noise was drawn: what the ledger may never be below."""

    def __init__(
        self, patch: pytest.MonkeyPatch, *, note: Callable[[str], None] = lambda kind: None
    ) -> None:
        self.drawn = {"measurement": 0, "step": 0}
        for place, name, kind in (
            (SystemNoise, "lattice", "measurement"),
            (SystemNoise, "gradient", "step"),
        ):
            patch.setattr(place, name, self._counting(getattr(place, name), kind, note))

    def _counting(self, honest: Any, kind: str, note: Callable[[str], None]) -> Any:
        def draw(*words: Any, **named: Any) -> Any:
            self.drawn[kind] += 1
            note(kind)
            return honest(*words, **named)

        return draw


def charged(path: Path) -> dict[str, int]:
    """What a ledger says: verified by reading it."""
    entries = Ledger.read(path).entries if path.exists() else ()
    steps = sum(entry.event.count for entry in entries if entry.mechanism == "game")
    return {
        "measurement": sum(entry.event.count for entry in entries if entry.mechanism != "game"),
        "step": steps,
    }


def never_understates(folder: Path, drawn: dict[str, int]) -> None:
    said = charged(folder / "small.ledger.jsonl")
    assert all(said[kind] >= count for kind, count in drawn.items()), (said, drawn)


class Sites:
    """Every write, fsync, rename, link and folder made below `folder`; the `failing`-th one fails."""

    def __init__(
        self,
        folder: Path,
        patch: pytest.MonkeyPatch,
        *,
        failing: int | None = None,
        code: int = errno.ENOSPC,
    ) -> None:
        self.folder, self.failing, self.code = folder.resolve(), failing, code
        self.names: list[str] = []
        for name in ("fsync", "write", "posix_fallocate"):
            patch.setattr(
                os,
                name,
                self._guarded(
                    getattr(os, name),
                    name,
                    lambda words: Path(f"/proc/self/fd/{words[0]}").resolve(),
                ),
            )
        for name in ("replace", "rename", "link"):
            patch.setattr(
                os, name, self._guarded(getattr(os, name), name, lambda words: Path(words[1]))
            )
        for name in ("mkdir",):
            patch.setattr(
                os, name, self._guarded(getattr(os, name), name, lambda words: Path(words[0]))
            )
        opened = self._guarded(builtins.open, "open", self._written)
        patch.setattr(builtins, "open", opened)
        patch.setattr(io, "open", opened)
        patch.setattr(
            artifact,
            "save_file",
            self._guarded(
                artifact.save_file, "save", lambda words: words[1], raised=SafetensorError
            ),
        )
        patch.setattr(pq, "ParquetWriter", self._writer(pq.ParquetWriter))

    def _written(self, words: tuple[Any, ...]) -> Path | None:
        mode = words[1] if len(words) > 1 else "r"
        return (
            Path(os.fsdecode(words[0]))
            if not isinstance(words[0], int) and set(str(mode)) & set("wxa+")
            else None
        )

    def _guarded(
        self,
        honest: Any,
        name: str,
        place: Callable[[Any], Path | None],
        *,
        raised: type[Exception] = OSError,
    ) -> Any:
        def guarded(*words: Any, **named: Any) -> Any:
            if name == "open" and "mode" in named:
                words = (words[0], named.pop("mode"))
            self.reach(name, place(words), raised=raised)
            return honest(*words, **named)

        return guarded

    def _writer(self, honest: Any) -> Any:
        sites = self

        class Writer(honest):  # type: ignore[misc]
            def write_table(self, *words: Any, **named: Any) -> None:
                sites.reach("rows", sites.folder / "table")
                super().write_table(*words, **named)

        return Writer

    def reach(self, name: str, path: Path | None, *, raised: type[Exception] = OSError) -> None:
        """Here something is about to be written."""
        if path is None or not Path(os.path.abspath(path)).is_relative_to(self.folder):
            return
        self.names.append(f"{name} {_kind(path)}")
        if len(self.names) - 1 == self.failing:
            raise (
                OSError(self.code, os.strerror(self.code), str(path))
                if raised is OSError
                else raised(os.strerror(self.code))
            )


def _kind(path: Path) -> str:
    """A file's name without what differs between runs."""
    return (
        "".join("#" if letter.isdigit() else letter for letter in path.name)
        .replace("##", "#")
        .replace("##", "#")
        .replace("##", "#")
    )


def one_of_each(names: list[str]) -> list[int]:
    """The first site of each kind, and the last of all."""
    return sorted({*(names.index(name) for name in names), len(names) - 1})


def counted(folder: Path, words: tuple[object, ...]) -> list[str]:
    """Sites of an undisturbed command."""
    with pytest.MonkeyPatch.context() as patch:
        sites = Sites(folder, patch)
        assert call(*words).exit_code == 0
    return sites.names


def failed(folder: Path, words: tuple[object, ...], *, at: int) -> tuple[Result, dict[str, int]]:
    """The command with a fault at one site; its message is ours and quotes nobody."""
    with pytest.MonkeyPatch.context() as patch:
        draws = Draws(patch)
        sites = Sites(folder, patch, failing=at, code=LIKELY[at % len(LIKELY)])
        result = call(*words)
    assert len(sites.names) > at, "the fault was reached"
    assert result.exit_code in (0, 2), (sites.names[at], result.output)
    assert MARK not in result.output
    return result, draws.drawn


def whole(release: Path) -> None:
    """A release that anybody may take for whole is whole."""
    verify_manifest(release / "share")
    assert Synthesizer.load(release).record.epsilon <= 8.001


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A log with a release, made once."""
    folder = put(tmp_path_factory.mktemp("fitted"))
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        result = call(*fit_words(folder))
    assert result.exit_code == 0, result.output
    yield folder


def copied(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to))


# in the process


def fit_survives(folder: Path, at: int) -> None:
    result, drawn = failed(folder, fit_words(folder), at=at)
    never_understates(folder, drawn)
    if (folder / "release").exists():
        whole(folder / "release")
    else:
        assert result.exit_code == 2 and all(
            Folder(left).is_resumable for left in folder.glob(".release*")
        )


def test_a_fault_at_a_write_of_each_kind_in_fit_leaves_a_true_ledger_and_no_half_release(
    tmp_path: Path,
) -> None:
    names = counted(put(tmp_path / "count"), fit_words(tmp_path / "count"))
    assert {name.split()[0] for name in names} >= {
        "fsync",
        "write",
        "rename",
        "replace",
        "open",
        "mkdir",
        "save",
        "link",
    }, names
    # those before the noise are cheap; those of share/ come after a whole training, so of them a
    # few
    kinds = one_of_each(names)
    for at in (*kinds[:-1:9], kinds[-1]):
        fit_survives(put(tmp_path / str(at)), at)
    assert call(*fit_words(tmp_path / str(kinds[0]))).exit_code == 0, "the rerun succeeds"
    whole(tmp_path / str(kinds[0]) / "release")


@pytest.mark.slow
def test_a_fault_at_any_write_in_fit_leaves_a_true_ledger_and_the_rerun_succeeds(
    tmp_path: Path,
) -> None:
    for at in range(len(counted(put(tmp_path / "count"), fit_words(tmp_path / "count")))):
        folder = put(tmp_path / str(at))
        fit_survives(folder, at)
        shutil.rmtree(folder / "release", ignore_errors=True)
        assert call(*fit_words(folder)).exit_code == 0, at
        whole(folder / "release")
        shutil.rmtree(folder)


def sample_survives(folder: Path, at: int, out: str) -> None:
    result, drawn = failed(folder, sample_words(folder, out), at=at)
    assert drawn == {"measurement": 0, "step": 0}
    if not (folder / out).exists():
        again = call(*sample_words(folder, out))
        finished = "already there" in again.stderr and out.startswith(
            "release"
        )  # opening the release completed the first try
        assert result.exit_code == 2 and (again.exit_code == 0 or finished), "the rerun succeeds"
    assert len(set(pq.read_table(folder / out)["user_id"].to_pylist())) == 20
    assert not [path for path in folder.rglob("*") if "partial" in path.name]
    Synthesizer.load(folder / "release")  # finishes what a fault left to be finished
    whole(folder / "release")


@pytest.mark.parametrize("out", ["more.parquet", "release/share/events.parquet"])
def test_a_fault_at_any_write_in_sample_leaves_all_or_nothing_and_the_rerun_succeeds(
    out: str, fitted: Path, tmp_path: Path
) -> None:
    for at in range(
        len(counted(copied(fitted, tmp_path / "count"), sample_words(tmp_path / "count", out)))
    ):
        sample_survives(copied(fitted, tmp_path / str(at)), at, out)


def test_a_fault_at_any_write_in_report_leaves_a_release_that_opens_and_the_rerun_succeeds(
    fitted: Path, tmp_path: Path
) -> None:
    for at in range(
        len(counted(copied(fitted, tmp_path / "count"), ("report", tmp_path / "count" / "release")))
    ):
        folder = copied(fitted, tmp_path / str(at))
        failed(folder, ("report", folder / "release"), at=at)
        assert call("report", folder / "release").exit_code == 0, at
        whole(folder / "release")
        assert (
            (folder / "release" / "share" / "report.html")
            .read_text(encoding="utf-8")
            .rstrip()
            .endswith("</html>")
        )


def test_a_fault_that_the_ledger_would_not_notice_is_noticed_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Teeth: a ledger that draws before it writes."""
    monkeypatch.setattr(Ledger, "charge", lambda self, entry: entry)
    put(tmp_path)
    draws = Draws(monkeypatch)
    call(*fit_words(tmp_path))
    with pytest.raises(AssertionError):
        never_understates(tmp_path, draws.drawn)


def test_a_clock_that_goes_backwards_breaks_no_chain(
    fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied(fitted, tmp_path / "log")
    before = charged(folder / "small.ledger.jsonl")

    class Earlier(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) - timedelta(days=4000)

    monkeypatch.setattr(ledger_module, "datetime", Earlier)
    assert call(*fit_words(folder, "second"), "--model", "marginals").exit_code == 0
    assert charged(folder / "small.ledger.jsonl")["measurement"] > before["measurement"]
    dates = [entry.charged_utc for entry in Ledger.read(folder / "small.ledger.jsonl").entries]
    assert dates[-1] < dates[0], "the clock did go backwards"


def test_a_second_process_cannot_spend_while_one_does(tmp_path: Path) -> None:
    folder = put(tmp_path)
    with Ledger.open(folder / "small.ledger.jsonl"):
        result = call(*fit_words(folder))
    assert result.exit_code == 2 and "one process at a time" in result.stderr
    assert not (folder / "release").exists() and charged(folder / "small.ledger.jsonl") == {
        "measurement": 0,
        "step": 0,
    }
    assert call(*fit_words(folder), "--model", "marginals").exit_code == 0


# killed

CHILD = """
import os, sys
import pytest
from tests import test_faults as faults
patch = pytest.MonkeyPatch()
faults.shorten(patch)
trace = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
honest = os.write
def note(kind):
    honest(trace, (kind + chr(10)).encode())
    honest(1, b'.')
faults.Draws(patch, note=note)
class Loud(faults.Sites):
    def reach(self, name, path, **named):
        if path is not None and os.path.abspath(path).startswith(str(self.folder)):
            honest(1, b'.')
Loud(faults.Path(sys.argv[2]), patch)
honest(1, b'.')
print(faults.call(*sys.argv[3:]).exit_code)
"""


def killed(
    folder: Path, words: tuple[object, ...], *, after: int, pause_seconds: float
) -> dict[str, int]:
    """Run a command in a process of its own and kill it after so many signs of life; which noise it
    had drawn.
    """
    trace = folder / "trace"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(trace), str(folder), *(str(word) for word in words)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert child.stdout is not None
    signs = 0
    while signs < after and os.read(child.stdout.fileno(), 1) == b".":
        signs += 1
    if pause_seconds:
        multiprocessing.Event().wait(pause_seconds)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    said = trace.read_text(encoding="utf-8").splitlines() if trace.exists() else []
    trace.unlink(missing_ok=True)
    return {kind: said.count(kind) for kind in ("measurement", "step")}


def fit_survives_a_kill(folder: Path, *, after: int, pause_seconds: float) -> None:
    drawn = killed(folder, fit_words(folder), after=after, pause_seconds=pause_seconds)
    never_understates(folder, drawn)
    if (folder / "release").exists():
        whole(folder / "release")
    outside = [
        path
        for path in folder.rglob("*")
        if path.is_file() and "private" not in path.parts and path.name not in ("log.csv",)
    ]
    assert not [path for path in outside if MARK.encode() in path.read_bytes()]
    shutil.rmtree(folder / "release", ignore_errors=True)
    assert call(*fit_words(folder)).exit_code == 0, (after, pause_seconds)
    whole(folder / "release")
    never_understates(folder, drawn)


def moments(count: int, *, seed: int) -> list[tuple[int, float]]:
    draw = random.Random(seed)
    return [(draw.randint(1, 110), draw.random() * 0.2) for _ in range(count)]


@pytest.mark.parametrize(("after", "pause_seconds"), moments(2, seed=1))
def test_a_killed_fit_leaves_a_true_ledger_and_the_rerun_succeeds(
    after: int, pause_seconds: float, tmp_path: Path
) -> None:
    fit_survives_a_kill(put(tmp_path), after=after, pause_seconds=pause_seconds)


@pytest.mark.slow
@pytest.mark.parametrize(("after", "pause_seconds"), moments(10, seed=2))
def test_a_killed_fit_leaves_a_true_ledger_at_ten_more_moments(
    after: int, pause_seconds: float, tmp_path: Path
) -> None:
    fit_survives_a_kill(put(tmp_path), after=after, pause_seconds=pause_seconds)


@pytest.mark.slow
@pytest.mark.parametrize("after", range(1, 24, 2))
def test_a_killed_sample_or_report_leaves_a_release_that_the_next_command_opens(
    after: int, fitted: Path, tmp_path: Path
) -> None:
    for place, words in enumerate(
        (
            lambda folder: ("report", folder / "release"),
            lambda folder: sample_words(folder, "release/share/events.parquet"),
        )
    ):
        folder = copied(fitted, tmp_path / str(place))
        killed(folder, words(folder), after=after, pause_seconds=0)
        Synthesizer.load(folder / "release")
        whole(folder / "release")
        if place == 0 or not (folder / "release" / "share" / "events.parquet").exists():
            assert call(*words(folder)).exit_code == 0
        json.loads((folder / "release" / "share" / "release.json").read_text(encoding="utf-8"))

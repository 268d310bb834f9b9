"""A log whose private cells carry marks goes through every command and every failure: no mark is
heard or found outside private/.

Searched: standard output and error as the system sees them, warnings, log lines, exceptions as
printed with all that they chain, every file outside private/ (compressed and columnar ones by their
content), and the system's folder for temporary files.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import gzip
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from synthrec import pipeline, training
from synthrec.cli.main import cli
from synthrec.data import reader
from synthrec.data.schema import Schema
from synthrec.errors import SynthrecError
from synthrec.model import recipe
from synthrec.release import Folder
from tests.conftest import REPOSITORY
from tests.data.typed import CONFIG, START, shop, write_items
from tests.model.small import quick, solve_once

WORD, NUMBER = "zqxmark", 770177017701  # NUMBER is outside every declared range and window
TEXT = CONFIG
for _old, _new in (
    ('unit = "user_id"', 'unit = "person"'),
    (
        'user_id = { role = "user" }',
        'person = { role = "unit", type = "text" }\nuser_id = { role = "user", type = "text" }\n'
        'stars = { type = "ordinal", min = 1, max = 5, step = 1 }',
    ),
    (
        "[items]",
        'comment = { drop = true }\n[users]\ntable = "users.csv"\ngender = { type = "categorical", values = ["F", "M"] }\n'
        'age = { type = "numeric", min = 0, max = 100, bins = 10 }\n[items]',
    ),
):
    assert _old in TEXT
    TEXT = TEXT.replace(_old, _new)
LOG_WORDS = ("--epsilon", "8", "--delta", "1e-4")


@functools.cache
def poisoned() -> pd.DataFrame:
    """Purchases whose users, persons, baskets and comments are marked, and rows whose every other
    cell is outside its domain.
    """
    rng = np.random.default_rng(0)
    frame = shop(users=120)
    frame.insert(0, "person", WORD + "-person-" + frame["user_id"].astype(str))
    frame["user_id"] = WORD + "-account-" + frame["user_id"].astype(str)
    frame["basket"] = WORD + "-" + frame["basket"]
    frame["stars"], frame["comment"] = rng.integers(1, 6, len(frame)), f"{WORD} wrote {NUMBER}"
    frame = frame.astype(object)
    odd = frame.sample(80, random_state=0).reset_index(drop=True)
    for place, column in enumerate(
        ("item_id", "timestamp", "action", "quantity", "price", "country", "stars", "basket")
    ):
        for kind, value in enumerate(
            (f"{WORD}-{column}", NUMBER, -float(NUMBER), f"{NUMBER},5", "")
        ):
            odd.loc[place * 10 + kind, column] = value
            odd.loc[place * 10 + 5 + kind, [column, "user_id"]] = [
                value,
                f"{WORD}-only-{place}-{kind}",
            ]
    return pd.concat([frame, odd], ignore_index=True)


def people(log: pd.DataFrame) -> pd.DataFrame:
    """A user table with marked cells, users twice, and users whom the log does not know."""
    accounts = [
        *log["user_id"].unique(),
        *log["user_id"].unique()[:20],
        *(f"{WORD}-stranger-{place}" for place in range(9)),
    ]
    gender = np.resize(
        np.array(["F", "M", f"{WORD}-gender", str(NUMBER)], dtype=object), len(accounts)
    )
    age = np.resize(np.array([30, 60, NUMBER, f"{WORD}-age", ""], dtype=object), len(accounts))
    return pd.DataFrame(
        {"user_id": accounts, "gender": gender, "age": age, "diary": f"{WORD}-diary"}
    )


@functools.cache
def tables() -> tuple[str, str]:
    """The log and the user table as CSV."""
    log = poisoned()
    return log.to_csv(index=False), people(log).to_csv(index=False)


def put(folder: Path) -> Path:
    """Log, tables and configuration, a list of opt-outs among them."""
    write_items(folder)
    for name, text in zip(("log.csv", "users.csv"), tables(), strict=True):
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "synthrec.toml").write_text(TEXT, encoding="utf-8")
    (folder / "out.txt").write_text(
        "".join(f"{WORD}-account-{number}\n" for number in range(1, 9)) + f"{WORD}-nobody\n"
    )
    return folder


INPUTS = ("log.*", "users.csv", "out.txt", "spoiled.*")


def marks_in(text: str) -> list[str]:
    """Where the marks stand in a text, with what is around them; 770,177,017,701 and
    7.70177017701e+11 are the number too.
    """
    plain = text.replace(",", "")
    return [
        plain[max(0, at - 60) : at + 60]
        for mark in (WORD, str(NUMBER), "7.70177017701")
        if (at := plain.find(mark)) >= 0
    ]


def content(path: Path) -> str:
    """What a reader of the file could see."""
    raw = path.read_bytes()
    seen = raw.decode("utf-8", errors="replace") + raw.decode("utf-16-le", errors="replace")
    with contextlib.suppress(OSError, EOFError):
        seen += gzip.decompress(raw).decode("utf-8", errors="replace")
    with contextlib.suppress(pa.ArrowException, OSError):
        seen += str(pq.read_metadata(path).metadata) + pq.read_table(path).to_pandas().to_csv()
    return seen


def marked_files(folder: Path) -> list[str]:
    """Files outside every private/ in which a mark is found, the inputs aside."""
    inputs = {path for pattern in INPUTS for path in folder.glob(pattern)}
    outside = [
        path
        for path in folder.rglob("*")
        if path.is_file() and path not in inputs and "private" not in path.parts
    ]
    return [
        str(path.relative_to(folder)) for path in outside if marks_in(content(path) + path.name)
    ]


@dataclass
class RecordingProgress:
    """All that came out of a call."""

    text: str = ""
    code: int | None = None
    warned: list[Any] = field(default_factory=list)


class _Keep(logging.Handler):
    def __init__(self, heard: RecordingProgress) -> None:
        super().__init__(level=0)
        self.heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.text += self.format(record) + "\n"


@pytest.fixture
def listen(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[], Any]], RecordingProgress]:
    """Call something and keep all that it says, by whatever way; the folder for temporary files is
    one that can be searched.
    """
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))

    def call(body: Callable[[], Any]) -> RecordingProgress:
        heard, keep = RecordingProgress(), None
        keep = _Keep(heard)
        level, hook = logging.root.level, sys.unraisablehook
        logging.root.addHandler(keep)
        logging.root.setLevel(0)
        sys.unraisablehook = lambda event: traceback.print_exception(event.exc_value)
        try:
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                body()
            heard.code = 0
        except SystemExit as end:
            heard.code = int(end.code or 0)
        except BaseException as error:  # noqa: BLE001  (what a Python caller would see printed)
            heard.text += "".join(traceback.format_exception(error))
            heard.code = -1 if not isinstance(error, SynthrecError) else error.exit_code
        finally:
            logging.root.removeHandler(keep)
            logging.root.setLevel(level)
            sys.unraisablehook = hook
        said = capfd.readouterr()
        heard.text += said.out + said.err + "".join(str(each.message) for each in warned)
        return heard

    return call


def command(*words: object) -> Callable[[], Any]:
    """A command as the console script runs it."""
    return lambda: cli.main([str(word) for word in words], prog_name="synthrec")


def clean(heard: RecordingProgress, folder: Path) -> None:
    """Nothing was heard, and nothing is found."""
    assert not marks_in(heard.text), marks_in(heard.text)
    assert not marked_files(folder), marked_files(folder)
    assert not [path for path in (folder / "tmp").rglob("*") if path.is_file()]


@pytest.fixture(autouse=True)
def solved(monkeypatch: pytest.MonkeyPatch) -> None:
    solve_once(monkeypatch)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer synthetic users inside calibration, which is post-processing, and a short game."""
    shorten(monkeypatch)


def shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for a process of its own."""
    quick(monkeypatch)
    honest = recipe.game

    def game(schema: Schema, **options: Any) -> Any:
        found = honest(schema, **options)
        return found and found.model_copy(update={"steps": 12, "fakes_per_step": 16})

    monkeypatch.setattr(recipe, "game", game)


def config_words(folder: Path) -> tuple[object, ...]:
    return (folder / "log.csv", "--config", folder / "synthrec.toml")


# every command


def test_no_mark_is_heard_or_found_after_any_command(
    listen: Callable[..., RecordingProgress], short: None, tmp_path: Path
) -> None:
    folder, release = put(tmp_path), tmp_path / "release"
    fit = (
        *config_words(folder),
        *LOG_WORDS,
        "--device",
        "cpu",
        "--exclude-users",
        folder / "out.txt",
    )
    sample = ("sample", release, "--users", "30", "--seed", "1")
    for words in (
        ("init", folder / "log.csv", "--out", folder / "proposed.toml"),
        ("init", folder / "log.csv", "--out", folder / "proposed.toml"),
        ("plan", folder / "synthrec.toml", *LOG_WORDS),
        ("check", *config_words(folder), "--exclude-users", folder / "out.txt"),
        ("run", *fit, "--model", "moments", "--out", release),
        (*sample, "--out", folder / "a.parquet"),
        (
            *sample,
            "--out",
            folder / "b.csv",
            "--where",
            "gender=F",
            "--where",
            "events=2..9",
            "--from",
            "2024-02-01",
            "--to",
            "2024-05-01",
        ),
        (*sample, "--out", folder / "c.csv.gz", "--items", "genre=tea"),
        (*sample, "--out", folder / "d.parquet", "--where", "gender=X"),
        ("audit", release, "--log", folder / "log.csv"),
        ("report", release),
        ("inspect", release, "--brief"),
        ("verify", release / "share"),
        ("explain", release, "--out", folder / "axes.svg"),
        ("ledger", "show", folder / "shop.ledger.jsonl"),
        ("ledger", "verify", folder / "shop.ledger.jsonl"),
        ("fit", *fit, "--model", "gan", "--out", folder / "second"),
        (
            "sample",
            folder / "second",
            "--users",
            "30",
            "--out",
            folder / "second" / "share" / "events.parquet",
        ),
        ("run", *fit, "--out", release),
        ("check", folder / "log.csv", "--config", folder / "log.csv"),
        ("ledger", "show", folder / "log.csv"),
        ("sample", folder / "log.csv", "--users", "3", "--out", folder / "e.parquet"),
        ("report", folder / "users.csv"),
        ("explain", folder / "users.csv"),
        ("audit", release, "--log", folder / "users.csv"),
    ):
        heard = listen(command(*words))
        assert heard.code in (0, 1, 2, 3), (words, heard.text[-2000:])
        assert words[0] not in ("inspect", "verify") or heard.code == 0, heard.text[-2000:]
        clean(heard, folder)
    assert (
        (release / "share" / "report.html").exists()
        and (folder / "axes.svg").exists()
        and (folder / "second").exists()
    )
    assert {path.stat().st_mode & 0o077 for path in folder.rglob("private")} == {0}


def test_the_search_finds_a_mark_wherever_one_could_be(
    listen: Callable[..., RecordingProgress], tmp_path: Path
) -> None:
    def loud() -> None:
        logging.getLogger("library").debug("%s", WORD)

    def warned() -> None:
        warnings.warn(str(NUMBER), stacklevel=1)

    def chained() -> None:
        try:
            raise KeyError(WORD)
        except KeyError as error:
            raise RuntimeError from error

    def low() -> None:
        os.write(2, f"{NUMBER:,}".encode())

    def said() -> None:
        print(float(NUMBER))

    for body in (loud, warned, chained, low, said):
        assert marks_in(listen(body).text), body
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "a").write_text(WORD)
    assert not marked_files(tmp_path)
    pd.DataFrame({"x": [WORD] * 99}).to_parquet(tmp_path / "a.parquet", compression="zstd")
    (tmp_path / "a.gz").write_bytes(gzip.compress(WORD.encode()))
    (tmp_path / "a.txt").write_text(f"{NUMBER:,}")
    assert sorted(marked_files(tmp_path)) == ["a.gz", "a.parquet", "a.txt"]


# every failure


def spoiled_gzip(folder: Path) -> Path:
    body = gzip.compress((folder / "log.csv").read_bytes())
    (folder / "spoiled.csv.gz").write_bytes(body[: len(body) // 2])
    return folder / "spoiled.csv.gz"


def spoiled_parquet(folder: Path, *, cut: bool) -> Path:
    path = folder / "spoiled.parquet"
    poisoned().astype(str).to_parquet(path, compression=None)
    body = bytearray(path.read_bytes())
    if cut:
        body = body[: len(body) // 2]
    else:
        body[200:20_000] = bytes(19_800)
    path.write_bytes(bytes(body))
    return path


def spoiled_csv(folder: Path, row: str) -> Path:
    path = folder / "spoiled.csv"
    path.write_text((folder / "log.csv").read_text() + row)
    return path


def renamed(folder: Path) -> Path:
    poisoned().rename(columns={"action": "deed"}).to_csv(folder / "spoiled.csv", index=False)
    return folder / "spoiled.csv"


def filled(folder: Path, column: str, value: object) -> Path:
    poisoned().assign(**{column: value}).to_csv(folder / "spoiled.csv", index=False)
    return folder / "spoiled.csv"


def people_of(folder: Path, text: str | bytes) -> Path:
    (folder / "users.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / "log.csv"


def no_file(path: Path) -> Path:
    """A folder in the place of a file."""
    path.unlink()
    path.mkdir()
    return path.parent / "log.csv"


def configured(folder: Path, old: str, new: str) -> Path:
    text = (folder / "synthrec.toml").read_text()
    assert old in text
    (folder / "synthrec.toml").write_text(text.replace(old, new))
    return folder / "log.csv"


FAILURES: dict[str, Callable[[Path], Path]] = {
    "truncated gzip": spoiled_gzip,
    "truncated parquet": lambda folder: spoiled_parquet(folder, cut=True),
    "parquet with damaged pages": lambda folder: spoiled_parquet(folder, cut=False),
    "too many fields": lambda folder: spoiled_csv(folder, f"{WORD},1,{NUMBER}," * 9 + "\n"),
    "too few fields": lambda folder: spoiled_csv(folder, f"{WORD},{NUMBER}\n"),
    "an open quote": lambda folder: spoiled_csv(folder, f'"{WORD},{NUMBER}\n'),
    "a missing column": renamed,
    "no readable time": lambda folder: filled(folder, "timestamp", WORD),
    "no time in the window": lambda folder: filled(folder, "timestamp", NUMBER),
    "no item": lambda folder: filled(folder, "item_id", WORD),
    "no rating": lambda folder: filled(folder, "stars", WORD),
    "no type of event": lambda folder: filled(folder, "action", WORD),
    "no user": lambda folder: filled(folder, "user_id", ""),
    "a user table with ragged lines": lambda folder: people_of(
        folder, f"user_id,gender,age\n{WORD},{WORD}\n"
    ),
    "a user table without a column": lambda folder: people_of(
        folder, f"user_id,sex\n{WORD},{WORD}\n"
    ),
    "a user table in another encoding": lambda folder: people_of(
        folder, f"user_id,gender,age\n{WORD},F,3\n".encode("utf-16")
    ),
    "a user table that is a folder": lambda folder: no_file(folder / "users.csv"),
    "no native times": lambda folder: configured(folder, 'unit = "s"', 'unit = "iso"'),
    "the user table as catalogue": lambda folder: configured(
        folder, 'catalogue = "items.csv"', 'catalogue = "users.csv"'
    ),
    "the log as catalogue": lambda folder: configured(
        folder, 'catalogue = "items.csv"', 'catalogue = "log.csv"'
    ),
    "the log as ledger": lambda folder: configured(
        folder, 'ledger = "shop.ledger.jsonl"', 'ledger = "log.csv"'
    ),
    "the log as user table": lambda folder: configured(
        folder, 'table = "users.csv"', 'table = "log.csv"'
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_no_mark_is_heard_or_found_after_any_broken_input(
    case: str, listen: Callable[..., RecordingProgress], tmp_path: Path
) -> None:
    log = FAILURES[case](put(tmp_path))
    out, config = tmp_path / "release", tmp_path / "synthrec.toml"
    fit = listen(
        command(
            "fit",
            log,
            "--config",
            config,
            *LOG_WORDS,
            "--model",
            "moments",
            "--device",
            "cpu",
            "--out",
            out,
        )
    )
    assert fit.code == 2, fit.text[-2000:]
    clean(fit, tmp_path)
    for words in (("check", log, "--config", config), ("init", log, "--out", tmp_path / "p.toml")):
        heard = listen(command(*words))
        assert heard.code in (0, 2), heard.text[-2000:]
        clean(heard, tmp_path)

    def in_python() -> None:
        pipeline.fit(
            str(log),
            schema=Schema.load(config),
            epsilon=8,
            delta=1e-4,
            out=out,
            model="moments",
            device="cpu",
        )

    heard = listen(in_python)
    assert heard.code == 2, heard.text[-2000:]
    clean(heard, tmp_path)


CHILD = """
import sys, time
import pytest
from synthrec.cli.main import cli
from synthrec.model import adversarial
from tests import test_poisoned as poisoned
patch = pytest.MonkeyPatch()
poisoned.shorten(patch)
honest = adversarial.PrivateCritic.step
def slow(self, *batch):
    time.sleep(0.05)
    honest(self, *batch)
patch.setattr(adversarial.PrivateCritic, "step", slow)
cli.main(sys.argv[1:], prog_name="synthrec")
"""


def killed(words: tuple[object, ...], *, folder: Path) -> None:
    """A fit in a process of its own, killed once its game has kept a block."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, *(str(word) for word in words)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(folder / "tmp")},
    )
    end = time.monotonic() + 120
    while not list(folder.glob(".release.partial-*/private/checkpoint/game.safetensors")):
        assert child.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    child.kill()
    child.wait()


def test_no_mark_is_heard_or_found_after_a_kill_and_a_resume(
    listen: Callable[..., RecordingProgress], short: None, tmp_path: Path
) -> None:
    folder = put(tmp_path)
    fit = (
        "fit",
        *config_words(folder),
        *LOG_WORDS,
        "--device",
        "cpu",
        "--exclude-users",
        folder / "out.txt",
        "--out",
        folder / "release",
    )
    heard = listen(lambda: killed(fit, folder=folder))
    assert heard.code == 0 and not (folder / "release").exists(), heard.text[-2000:]
    clean(heard, folder)
    left = Folder(next(folder.glob(".release.partial-*")))
    assert {path.stat().st_mode & 0o077 for path in (left.private, left.checkpoint)} == {0}
    begun = left.checkpoint / "begun.json"
    whole = begun.read_bytes()
    for spoilt in (
        whole.replace(b'"same":{', b'"same":{"' + WORD.encode() + b'":"x",', 1)[:-1],
        b'{"' + WORD.encode() + b'": 1}',
        whole.replace(b'"format_version":1', f'"format_version":{NUMBER}'.encode()),
    ):
        begun.write_bytes(spoilt)
        heard = listen(command(*fit, "--resume"))
        assert heard.code == 2, heard.text[-2000:]
        clean(heard, folder)
    begun.write_bytes(whole)
    for words, code in (
        ((*fit[:-4], *fit[-2:]), 2),
        (fit, 0),
    ):  # without the list of opt-outs, and as it was
        heard = listen(command(*words, "--resume"))
        assert heard.code == code, heard.text[-2000:]
        clean(heard, folder)
    assert (folder / "release" / "share" / "release.json").exists()


def raising(error: Callable[[], BaseException]) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        try:
            raise KeyError(WORD)  # what a library was at when it failed
        except KeyError:
            raise error() from None

    return fail


# where something fails on the way -> what is replaced there, and by what error, whose message
# quotes a cell
INSIDE: dict[str, tuple[Any, str, Callable[[], BaseException], int]] = {
    "the disk fills up in DuckDB": (
        reader,
        "bound_rows",
        lambda: duckdb.IOException(f"could not write {WORD}"),
        2,
    ),
    "memory ends in DuckDB": (reader, "bound_rows", lambda: duckdb.OutOfMemoryException(WORD), 2),
    "a cast fails in DuckDB": (
        reader,
        "attribute_codes",
        lambda: duckdb.ConversionException(f"Could not convert {WORD}"),
        2,
    ),
    "DuckDB fails in itself": (reader, "bound_rows", lambda: duckdb.InternalException(WORD), 70),
    "Arrow cannot read on": (
        reader,
        "mark_codes",
        lambda: pa.ArrowInvalid(f"In CSV column #1: {WORD}"),
        2,
    ),
    "the disk fills up in the store": (
        reader.EventWriter,
        "append",
        lambda: OSError(errno.ENOSPC, "No space left on device", WORD),
        2,
    ),
    "the disk fills up in the folder": (
        training.EventLog,
        "save",
        lambda: OSError(errno.ENOSPC, "No space left on device", WORD),
        2,
    ),
    "numpy cannot convert": (
        reader,
        "mark_codes",
        lambda: ValueError(f"could not convert string to float: '{WORD}'"),
        70,
    ),
    "the training fails": (training, "train", lambda: RuntimeError(WORD), 70),
    "memory ends": (training, "train", lambda: MemoryError(WORD), 70),
    "somebody interrupts reading": (
        reader,
        "bound_rows",
        lambda: duckdb.InterruptException(f"INTERRUPT Error: {WORD}"),
        130,
    ),
    "somebody interrupts training": (training, "train", lambda: KeyboardInterrupt(WORD), 130),
    "the release cannot be written": (
        training.Artifact,
        "save",
        lambda: OSError(errno.EROFS, "Read-only file system", WORD),
        2,
    ),
}


@pytest.mark.parametrize("case", INSIDE)
def test_no_mark_is_heard_or_found_after_a_failure_inside(
    case: str,
    listen: Callable[..., RecordingProgress],
    short: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place, name, error, code = INSIDE[case]
    monkeypatch.setattr(place, name, raising(error))
    put(tmp_path)
    heard = listen(
        command(
            "fit",
            *config_words(tmp_path),
            *LOG_WORDS,
            "--model",
            "marginals",
            "--device",
            "cpu",
            "--out",
            tmp_path / "release",
        )
    )
    assert heard.code == code, heard.text[-2000:]
    clean(heard, tmp_path)
    assert not (tmp_path / "release").exists() and all(
        Folder(left).is_resumable for left in tmp_path.glob(".release*")
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A release of the poisoned log with a synthetic log and an audit, made once."""
    folder = put(tmp_path_factory.mktemp("made"))
    with pytest.MonkeyPatch.context() as patch:
        quick(patch)
        said = CliRunner().invoke(
            cli,
            [
                str(word)
                for word in (
                    "run",
                    *config_words(folder),
                    *LOG_WORDS,
                    "--model",
                    "moments",
                    "--device",
                    "cpu",
                    "--no-mechanism",
                    "--out",
                    folder / "release",
                )
            ],
        )
    assert said.exit_code in (0, 1, 3), said.output
    yield folder


LATER: dict[str, tuple[Callable[[Path], object], str]] = {
    "a bounded log that was cut": (
        lambda private: (private / "bounded" / "item.npy").write_bytes(
            b"\x93NUMPY" + WORD.encode()
        ),
        "audit",
    ),
    "opt-outs that are no text": (
        lambda private: (private / "excluded.txt").write_bytes(b"\xff\xfe" + WORD.encode()),
        "audit",
    ),
    "an origin that is something else": (
        lambda private: (private / "origin.json").write_text(f'{{"config_folder": "{WORD}'),
        "audit",
    ),
    "a key of another length": (
        lambda private: (private / "roles.key").write_bytes(WORD.encode()),
        "audit",
    ),
    "an audit that is something else": (
        lambda private: (private / "audit.json").write_text(
            f'{{"release_id": "{WORD}", "{WORD}": 1}}'
        ),
        "report",
    ),
}


@pytest.mark.parametrize("case", LATER)
def test_no_mark_is_heard_after_a_broken_private_folder(
    case: str, made: Path, listen: Callable[..., RecordingProgress], tmp_path: Path
) -> None:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    spoil, name = LATER[case]
    spoil(tmp_path / "release" / "private")
    heard = listen(
        command(
            name,
            tmp_path / "release",
            *(("--log", tmp_path / "log.csv") if name == "audit" else ()),
        )
    )
    assert heard.code == 2, heard.text[-2000:]
    clean(heard, tmp_path)


def test_prices_quantities_and_times_of_the_release_come_from_declared_bins_not_from_marked_cells(
    made: Path,
) -> None:
    events = pq.read_table(made / "release" / "share" / "events.parquet").to_pandas()
    users = pq.read_table(made / "release" / "share" / "users.parquet").to_pandas()
    assert (
        events["quantity"].abs().max() <= 100
        and events["price"].max() <= 50
        and events["timestamp"].min() >= START
    )
    assert (
        set(events["country"].dropna()) <= {"ES", "PT"}
        and set(users["gender"].dropna()) <= {"F", "M"}
        and users["age"].max() <= 100
    )

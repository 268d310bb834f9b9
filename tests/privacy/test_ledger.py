"""The ledger: ahead of use, on disk, unbroken, held by one. Teeth: each way to tamper is tried, and
a blind check would let it pass.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthrec.errors import BudgetError
from synthrec.privacy import ledger as module
from synthrec.privacy.event import gaussian
from synthrec.privacy.ledger import (
    Charge,
    Entry,
    Head,
    Ledger,
    events_of,
    extra_delta_of,
    head_path,
    remember,
    remembered,
)
from synthrec.privacy.mechanisms import GaussianSum
from tests.conftest import REPOSITORY
from tests.privacy.small import noisy_sum

CHARGE = Charge(source="films", release_id="r1", kind="release")
PLAN = GaussianSum(name="items", purpose="", unit="", sensitivity=1.0, noise_multiplier=1.0)


def entry(noise: float = 1.5, count: int = 1) -> Entry:
    return CHARGE.entry(
        mechanism="game", event=gaussian(noise_multiplier=noise, sampling_rate=0.1, count=count)
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger of four different entries."""
    with Ledger.open(tmp_path / "films.ledger.jsonl") as ledger:
        for place in range(4):
            ledger.charge(entry(1.0 + place))
    return tmp_path / "films.ledger.jsonl"


def altered(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b'"count":1', b'"count":2'), *lines[2:]]


def cheaper(lines: list[bytes]) -> list[bytes]:
    """The last line, which no other line follows."""
    return [*lines[:-1], lines[-1].replace(b'"noise_multiplier":4.0', b'"noise_multiplier":9.0')]


def removed(lines: list[bytes]) -> list[bytes]:
    return [lines[0], *lines[2:]]


def first_removed(lines: list[bytes]) -> list[bytes]:
    return lines[1:]


def reordered(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[2], lines[1], lines[3]]


def doubled(lines: list[bytes]) -> list[bytes]:
    return [lines[0], *lines]


def unknown_kind(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-1], lines[-1].replace(b'"kind":"gaussian"', b'"kind":"laplace"')]


def unknown_field(lines: list[bytes]) -> list[bytes]:
    return [
        *lines[:-1],
        lines[-1].replace(b'{"format_version":2', b'{"format_version":2,"refund":true'),
    ]


def other_version(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-1], lines[-1].replace(b'"format_version":2', b'"format_version":3')]


TAMPERED = [
    altered,
    cheaper,
    removed,
    first_removed,
    reordered,
    doubled,
    unknown_kind,
    unknown_field,
    other_version,
]


@pytest.mark.parametrize("tamper", TAMPERED)
def test_a_tampered_ledger_is_refused_and_left_as_it_is(
    tamper: Callable[[list[bytes]], list[bytes]], path: Path
) -> None:
    lines = path.read_bytes().splitlines()
    changed = b"".join(line + b"\n" for line in tamper(lines))
    assert changed != path.read_bytes()
    path.write_bytes(changed)
    with pytest.raises(BudgetError, match="line"):
        Ledger.read(path)
    with pytest.raises(BudgetError), Ledger.open(path):
        pass
    assert path.read_bytes() == changed


@pytest.mark.parametrize("tamper", [altered, cheaper])
def test_the_tampering_would_pass_a_check_that_does_not_hash(
    tamper: Callable[[list[bytes]], list[bytes]], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(b"".join(line + b"\n" for line in tamper(path.read_bytes().splitlines())))
    monkeypatch.setattr(Entry, "digest", lambda self: self.hash)
    assert len(Ledger.read(path).entries) == 4


@pytest.mark.parametrize("keep", [1, 5, 17, 120, -40])
def test_a_torn_last_line_is_a_write_that_never_succeeded(keep: int, path: Path) -> None:
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(whole + lines[-1][:keep])
    assert len(Ledger.read(path).entries) == 4
    with Ledger.open(path) as ledger:
        ledger.charge(entry())
    assert len(Ledger.read(path).entries) == 5


def test_a_whole_last_entry_counts_also_when_its_newline_is_lost(path: Path) -> None:
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert len(Ledger.read(path).entries) == 4
    with Ledger.open(path) as ledger:
        assert len(ledger.entries) == 4
        ledger.charge(entry())
    assert len(Ledger.read(path).entries) == 5


@pytest.mark.parametrize("content", [b"user_id,item_id\n1,2\n3,4", b"one line", b"{}", b"\n\n"])
def test_another_file_named_as_the_ledger_is_refused_and_left_as_it_is(
    content: bytes, tmp_path: Path
) -> None:
    (tmp_path / "events.csv").write_bytes(content)
    with pytest.raises(BudgetError), Ledger.open(tmp_path / "events.csv"):
        pass
    assert (tmp_path / "events.csv").read_bytes() == content


def test_a_second_holder_is_refused_in_this_process_and_in_another(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from synthrec.errors import BudgetError; from synthrec.privacy.ledger import Ledger\n"
        "try:\n    with Ledger.open(Path(sys.argv[1])): print('held')\nexcept BudgetError as error: print(error.found)"
    )

    def other() -> str:
        return subprocess.run(
            [sys.executable, "-c", code, str(path)],
            cwd=REPOSITORY,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    with Ledger.open(path):
        with pytest.raises(BudgetError, match="one process"), Ledger.open(path):
            pass
        assert "in use" in other()
    assert other().strip() == "held"


def test_an_entry_is_on_disk_before_the_first_user_is_looked_at(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    real = os.fsync

    def users() -> Iterator[np.ndarray]:
        order.append(f"looked at with {len(Ledger.read(path).entries)} entries")
        yield np.ones((2, 3))

    with Ledger.open(path) as ledger:
        monkeypatch.setattr(
            module.os, "fsync", lambda handle: (real(handle), order.append("on disk"))[0]
        )
        noisy_sum(users(), plan=PLAN, size=3, ledger=ledger, charge=CHARGE)
    # the entry, and the remembered head with its name
    assert order == ["on disk"] * 3 + ["looked at with 5 entries"]


def test_a_crash_while_users_are_looked_at_has_spent(path: Path) -> None:
    def users() -> Iterator[np.ndarray]:
        yield np.ones((2, 3))
        raise MemoryError

    with pytest.raises(MemoryError), Ledger.open(path) as ledger:
        noisy_sum(users(), plan=PLAN, size=3, ledger=ledger, charge=CHARGE)
    assert Ledger.read(path).entries[-1].event == gaussian(
        noise_multiplier=1.0, sampling_rate=1.0, count=1
    )


def test_nothing_runs_when_the_ledger_cannot_be_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    def users() -> Iterator[np.ndarray]:
        raise AssertionError("the log was touched")
        yield

    with Ledger.open(path) as ledger:
        monkeypatch.setattr(module.os, "fsync", full)
        with pytest.raises(BudgetError, match="No space"):
            noisy_sum(users(), plan=PLAN, size=3, ledger=ledger, charge=CHARGE)


def test_a_ledger_that_is_closed_or_only_read_cannot_be_charged(path: Path, tmp_path: Path) -> None:
    with Ledger.open(path) as ledger:
        pass
    with (tmp_path / "another").open("wb") as stream:  # likely gets the closed ledger's number
        for closed in (ledger, Ledger.read(path)):
            with pytest.raises(BudgetError, match="open to be charged"):
                closed.charge(entry())
        stream.flush()
    assert (tmp_path / "another").read_bytes() == b""


def test_internal_entries_are_listed_and_not_counted_and_trials_count(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.charge(entry().model_copy(update={"kind": "internal"}))
        ledger.charge(entry().model_copy(update={"kind": "trial", "extra_delta": 1e-7}))
    read = Ledger.read(path)
    assert (
        len(read.counted()) == 5 and len(read.internal()) == 1 and len(read.of_release("r1")) == 5
    )
    assert extra_delta_of(read.counted()) == 1e-7 and len(events_of(read.entries)) == 6


def test_a_ledger_says_days_and_no_moments_since_running_times_depend_on_the_log(
    path: Path,
) -> None:
    for line in path.read_text().splitlines():
        assert len(json.loads(line)["charged_utc"]) == len("2025-01-31")


def cut_to(path: Path, entries: int) -> None:
    """What an older backup would be."""
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:entries]))


@pytest.mark.parametrize("entries", [0, 1, 3])
def test_a_ledger_restored_from_an_older_backup_is_refused_with_what_is_missing_and_a_remedy(
    entries: int, path: Path
) -> None:
    cut_to(path, entries)
    before = path.read_bytes()
    for use in (Ledger.read, lambda place: Ledger.open(place).__enter__()):
        with pytest.raises(
            BudgetError, match=f"{entries} entries where 4 were written.*as it was last written"
        ):
            use(path)
    assert not path.exists() if entries == 0 else path.read_bytes() == before


def test_a_ledger_that_is_gone_is_not_begun_anew(path: Path) -> None:
    path.unlink()
    with pytest.raises(BudgetError, match="0 entries where 4 were written"), Ledger.open(path):
        pass
    assert not path.exists()


def test_another_history_of_the_same_length_is_refused(path: Path) -> None:
    head = remembered(path)
    path.unlink()
    head_path(path).unlink()
    with Ledger.open(path) as ledger:
        for _ in range(4):
            ledger.charge(entry(20.0))  # whole, unbroken, and cheaper
    assert head is not None
    remember(path, head)
    with pytest.raises(BudgetError, match="another entry in the head's place"):
        Ledger.read(path)


def test_a_ledger_cut_short_would_pass_without_the_head(path: Path) -> None:
    cut_to(path, 2)
    head_path(path).unlink()  # the saboteur
    with Ledger.open(path) as ledger:
        assert len(ledger.entries) == 2
        ledger.charge(entry())
    assert remembered(path) == Head(count=3, hash=ledger.entries[-1].hash)


def test_a_crash_between_an_entry_and_its_head_leaves_a_ledger_that_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with Ledger.open(path) as ledger, monkeypatch.context() as patch:
        patch.setattr(module, "remember", killed)
        with pytest.raises(BudgetError, match="No space"):
            ledger.charge(entry())
        with pytest.raises(
            BudgetError, match="open to be charged"
        ):  # or its link would be to the wrong line
            ledger.charge(entry())
    assert len(Ledger.read(path).entries) == 5
    with Ledger.open(path) as ledger:
        ledger.charge(entry())
    assert remembered(path) == Head(count=6, hash=ledger.entries[-1].hash)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"format_version":2,"count":1,"hash":""}', b"\xff" * 9]
)
def test_a_head_that_cannot_be_read_is_said(content: bytes, path: Path) -> None:
    head_path(path).write_bytes(content)
    with pytest.raises(BudgetError, match="another thing in films.ledger.jsonl.head"):
        Ledger.read(path)


def test_another_version_and_an_unknown_kind_are_named(path: Path) -> None:
    whole = path.read_bytes()
    for old, new, said in (
        (
            b'{"format_version":2',
            b'{"format_version":7',
            "format_version 7 at films.ledger.jsonl, line 1",
        ),
        (
            b'{"format_version":2',
            b'{"format_version":1',
            "format_version 1 at films.ledger.jsonl, line 1",
        ),
        (b'"kind":"release"', b'"kind":"gift"', "the unknown kind gift at"),
        (b'"kind":"release"', b'"kind":"Anna Example, 12 High Street"', "an unknown kind at"),
    ):
        path.write_bytes(whole.replace(old, new, 1))
        with pytest.raises(BudgetError) as refused:
            Ledger.read(path)
        assert said in str(refused.value) and "Anna" not in str(refused.value)


@settings(max_examples=30, deadline=None)
@given(
    charges=st.lists(
        st.tuples(
            st.just(0.0) | st.floats(1e-3, 1e9),
            st.floats(1e-12, 1),
            st.integers(1, 10**6),
            st.floats(0, 0.5),
            st.text(max_size=20),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_what_is_charged_is_read_back(
    charges: list[tuple[float, float, int, float, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "a.jsonl"
    with Ledger.open(path) as ledger:
        for noise, rate, count, extra, name in charges:
            ledger.charge(
                CHARGE.entry(
                    mechanism=name,
                    extra_delta=extra,
                    event=gaussian(noise_multiplier=noise, sampling_rate=rate, count=count),
                )
            )
    assert Ledger.read(path).entries == ledger.entries


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_changed_byte_goes_unnoticed(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "a.jsonl"
    with Ledger.open(path) as ledger:
        for place in range(3):
            ledger.charge(entry(1.0 + place))
    before, body = ledger.entries, bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != body[place]))
    path.write_bytes(bytes(body))
    try:
        assert Ledger.read(path).entries == before
    except BudgetError:
        pass

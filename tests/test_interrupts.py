"""Whatever ends a training: before its first charge nothing is left, after it what was paid for is
kept and the operator told how to go on; no noise is drawn twice for one charge; and what lies below
private/ is for its owner alone.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from synthrec import auditing, pipeline
from synthrec.audit.cache import Kept
from synthrec.cli.main import cli
from synthrec.data.schema import Schema
from synthrec.errors import Advice, BudgetError, DataError, ReleaseError
from synthrec.model import item_counts
from synthrec.model.checkpoint import DRAWN, Checkpoint, undisturbed
from synthrec.privacy.event import gaussian
from synthrec.privacy.ledger import Charge, Ledger
from synthrec.privacy.mechanisms import SystemNoise
from synthrec.privacy.session import Session
from synthrec.release import Folder, left_folders, new_folder, remove_left, write_page
from synthrec.report.record import write_record
from synthrec.storage import locked
from tests.model.small import make_log, make_plan, quick
from tests.report.records import conformance
from tests.test_guarantees import USERS, frame, put

BUDGET: dict[str, Any] = {
    "epsilon": 5.0,
    "delta": 1e-4,
    "audit_share": 0.0,
    "device": "cpu",
    "model": "moments",
}


@pytest.fixture
def schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Schema:
    quick(monkeypatch)
    monkeypatch.setattr(
        pipeline, "plan_release", lambda schema, *, model, **_: make_plan(schema, model=model)
    )
    return put(make_log(users=USERS), tmp_path / "log", epsilon_cap="20.0")


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One number for each draw of noise."""
    found = list[int]()
    before_each_draw(monkeypatch, lambda: found.append(1))
    return found


def before_each_draw(patch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    honest = SystemNoise.lattice
    patch.setattr(
        SystemNoise,
        "lattice",
        lambda self, name, total, *, scale: (act(), honest(self, name, total, scale=scale))[1],
    )


def fitted(schema: Schema, out: Path) -> Path:
    return pipeline.fit(frame(make_log(users=USERS)), schema=schema, out=out, **BUDGET)


def summing(end: Callable[[], None]) -> Any:
    """`item_vectors` in which `end` comes while users are summed, once the items are charged."""
    honest = item_counts.item_vectors

    def ended(block: Any, **options: Any) -> Any:
        end()
        return honest(block, **options)

    return ended


def raised(error: BaseException) -> Callable[[], None]:
    def end() -> None:
        raise error

    return end


ENDS: dict[str, Callable[[], None]] = {
    "Ctrl-C": lambda: signal.raise_signal(signal.SIGINT),
    "no memory": raised(MemoryError()),
    "a full disk": raised(OSError(errno.ENOSPC, "full")),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_training_that_ends_between_first_charge_and_game_goes_on_and_costs_what_it_would_have_cost(
    end: str, schema: Schema, draws: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(item_counts, "item_vectors", summing(ENDS[end]))
        with pytest.raises((KeyboardInterrupt, MemoryError, DataError)) as told:
            fitted(schema, tmp_path / "out")
    (left,) = left_folders(tmp_path / "out")
    (note,) = told.value.__notes__
    assert isinstance(note, Advice) and left.path.name in note and "--resume" in note
    before = Ledger.read(schema.ledger_path).entries
    assert before[-1].mechanism == "items" and len(draws) == len(before) - 1
    pipeline.resume(schema=schema, out=tmp_path / "out", **BUDGET)
    entries = Ledger.read(schema.ledger_path).entries
    assert entries[: len(before)] == before
    assert [entry.mechanism for entry in entries] == [
        each.name for each in make_plan(schema, model="moments").measurements
    ]
    assert len(draws) == len(entries), "one draw for each charge"
    assert not left.path.exists() and not (tmp_path / "out" / "private" / "checkpoint").exists()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_end_waits_from_the_draw_of_noise_until_its_value_is_kept(
    end: signal.Signals,
    schema: Schema,
    draws: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            before_each_draw(patch, lambda: signal.raise_signal(end))
            with pytest.raises(KeyboardInterrupt):
                fitted(schema, tmp_path / "out")
    finally:
        signal.signal(signal.SIGTERM, before)
    (left,) = left_folders(tmp_path / "out")
    assert (
        len(list(left.checkpoint.glob("measured-*")))
        == len(list(left.checkpoint.glob("*.safetensors")))
        == 1
        == len(draws)
    )
    pipeline.resume(schema=schema, out=tmp_path / "out", **BUDGET)
    assert len(draws) == len(Ledger.read(schema.ledger_path).entries)


def test_a_request_to_end_is_not_waited_with_outside_that_moment() -> None:
    with pytest.raises(KeyboardInterrupt), undisturbed():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def lost_after_its_draw(schema: Schema, out: Path, patch: pytest.MonkeyPatch) -> None:
    honest = SystemNoise.lattice

    def lost(self: SystemNoise, name: str, total: Any, *, scale: float) -> Any:
        honest(self, name, total, scale=scale)
        raise MemoryError

    patch.setattr(SystemNoise, "lattice", lost)
    with pytest.raises(MemoryError):
        fitted(schema, out)


def test_noise_that_may_have_been_drawn_is_not_drawn_again_for_its_charge(
    schema: Schema, draws: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        lost_after_its_draw(schema, tmp_path / "out", patch)
    with pytest.raises(BudgetError, match="never drawn twice"):
        pipeline.resume(schema=schema, out=tmp_path / "out", **BUDGET)
    assert len(draws) == len(Ledger.read(schema.ledger_path).entries) == 1


def test_a_checkpoint_that_does_not_mark_a_draw_is_told_by_the_number_of_draws(
    schema: Schema, draws: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The saboteur of the two tests before."""

    @contextmanager
    def unmarked(self: Checkpoint, name: str) -> Iterator[None]:
        shutil.copyfile(self._room(name), self._measured(name).with_suffix(DRAWN))
        yield

    monkeypatch.setattr(Checkpoint, "drawing", unmarked)
    with monkeypatch.context() as patch:
        lost_after_its_draw(schema, tmp_path / "out", patch)
    pipeline.resume(schema=schema, out=tmp_path / "out", **BUDGET)
    assert len(draws) > len(Ledger.read(schema.ledger_path).entries)


def test_an_entry_of_another_noise_pays_for_nothing(schema: Schema) -> None:
    plan, charge = (
        make_plan(schema, model="moments"),
        Charge(source="s", release_id="r", kind="release"),
    )
    items = plan.measurement("items")
    own, weak = (
        charge.entry(
            mechanism="items", event=gaussian(noise_multiplier=noise, sampling_rate=1.0, count=1)
        ).sealed(previous="0" * 64, charged_utc="2024-01-01")
        for noise in (items.noise_multiplier, 9 * items.noise_multiplier)
    )
    with Ledger.open(schema.ledger_path) as ledger:
        assert Session(plan, ledger=ledger, charge=charge)._pay(items, before=own) == own
        with pytest.raises(BudgetError, match="must be paid for"):
            Session(plan, ledger=ledger, charge=charge)._pay(items, before=weak)
        assert ledger.entries == ()


@pytest.mark.parametrize("place", ["make_room", "begin"])
def test_before_the_first_charge_nothing_is_left(
    place: str, schema: Schema, draws: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(tmp_path.rglob("*"))
    honest = getattr(Checkpoint, place)

    def full(*words: Any, **options: Any) -> None:
        honest(*words, **options)
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(Checkpoint, place, full)
    with pytest.raises(DataError) as told:
        fitted(schema, tmp_path / "out")
    assert not hasattr(told.value, "__notes__")
    assert sorted(tmp_path.rglob("*")) == before and not draws


def test_the_command_says_how_to_go_on_even_when_it_is_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "out") as making:
        making.checkpoint.mkdir()
        (making.checkpoint / "begun.json").write_text("{}")
        raise KeyboardInterrupt
    (left,) = left_folders(tmp_path / "out")

    def ended(*_: Any, **__: Any) -> None:
        with pipeline.resumed_folder(tmp_path / "out"):
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(pipeline, "resume", ended)
    monkeypatch.setattr(Schema, "load", lambda _: None)
    said = CliRunner().invoke(
        cli,
        [
            "fit",
            "LOG",
            "--config",
            "TOML",
            "--epsilon",
            "1",
            "--delta",
            "1e-5",
            "--out",
            str(tmp_path / "out"),
            "--quiet",
            "--resume",
        ],
    )
    assert said.exit_code == 130 and left.path.name in said.stderr and "--resume" in said.stderr, (
        said.output
    )


def test_what_is_left_is_removed_unless_somebody_holds_it_whatever_its_number(
    tmp_path: Path,
) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    alive, held = f".out.partial-{os.getpid()}", ".out.partial-999999999"
    theirs = [elsewhere.name, ".out.partial-1.partial-2", ".out2.partial-3", ".out.partial-x"]
    for name in (alive, f"{alive}-2", held, ".out.partial-7", *theirs):
        (tmp_path / name / "private").mkdir(parents=True)
    (tmp_path / ".out.partial-8").symlink_to(elsewhere)
    with locked(tmp_path / held):
        assert [folder.path.name for folder in left_folders(out)] == sorted(
            [".out.partial-7", alive, f"{alive}-2"]
        )
        assert remove_left(out) == 3
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
            [held, ".out.partial-8", *theirs]
        )
    assert remove_left(out) == 1 and (elsewhere / "private").is_dir()


def test_no_audit_of_another_folder_is_set_aside_or_written_through_a_link(tmp_path: Path) -> None:
    other, release = tmp_path / "other", Folder(tmp_path / "release")
    other.mkdir()
    for name in ("audit.json", "report.internal.html"):
        (other / name).write_text("mine")
    release.path.mkdir()
    release.private.symlink_to(other)
    for act in (release.set_audit_aside, release.own_private):
        with pytest.raises(ReleaseError, match="found a link"):
            act()
    assert {path.name: path.read_text() for path in other.iterdir()} == {
        "audit.json": "mine",
        "report.internal.html": "mine",
    }


@pytest.fixture
def permissive() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {
        path.relative_to(folder).as_posix(): path.stat().st_mode & 0o777
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_each_file_below_private_is_for_its_owner_alone_whatever_the_umask(
    schema: Schema, tmp_path: Path, permissive: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone.txt"
    gone.write_text("1\n")
    with monkeypatch.context() as patch:
        patch.setattr(pipeline.Trained, "save", lambda *_, **__: raised(KeyboardInterrupt())())
        with pytest.raises(KeyboardInterrupt):
            pipeline.fit(
                frame(make_log(users=USERS)),
                schema=schema,
                out=tmp_path / "out",
                exclude_users=gone,
                **BUDGET,
            )
    (left,) = left_folders(tmp_path / "out")
    found = modes(left.private)
    assert {
        "checkpoint/begun.json",
        "checkpoint/start.safetensors",
        "bounded/item.npy",
        "bounded/log.json",
        "roles.key",
        "excluded.txt",
        "origin.json",
    } <= found.keys() and set(found.values()) == {0o600}, found
    pipeline.resume(schema=schema, out=tmp_path / "out", exclude_users=gone, **BUDGET)
    release = Folder(tmp_path / "out")
    release.private.chmod(0o755)  # as a copy may have it
    private = release.own_private()
    Kept.of(private / "audit-parts", key=("a",)).part("part", int, lambda: 1)
    write_record(conformance(), path=private / "audit.json")
    write_page(private / "report.internal.html", "page")
    auditing._keep(
        SimpleNamespace(save=lambda folder: (folder / "generator").write_text("x")),
        place=private / "arm",
    )  # type: ignore[arg-type]
    found = modes(private)
    assert {"audit.json", "report.internal.html", "arm/generator"} <= found.keys() and set(
        found.values()
    ) == {0o600}, found
    assert private.stat().st_mode & 0o777 == 0o700 and set(modes(release.share).values()) >= {
        0o666
    }, "the shared half is as the umask says"

"""From end to end: what `fit` prints, what a release holds, what a plan may spend, who takes part.
Teeth included.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from safetensors.numpy import load_file, save_file

from synthrec import pipeline, training
from synthrec.cli import progress as drawn
from synthrec.cli.main import cli
from synthrec.conformance.answers import FrozenNoise
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.errors import BudgetError, PlanError, ReleaseError, SynthrecError
from synthrec.model import recipe
from synthrec.model.artifact import Artifact
from synthrec.privacy.accounting import Accountant
from synthrec.privacy.ledger import Ledger, events_of
from synthrec.privacy.session import Session
from synthrec.synthesizer import Synthesizer
from tests.manifests import write_manifest
from tests.model.small import START, Replies, make_log, make_plan, prepared, quick

MARK = "zebra"
USERS = 83


def frame(log: EventLog, *, first: int = 0) -> pd.DataFrame:
    """Events as an owner would have them; user ids can be searched for."""
    user = log.user_of_event() + first
    assert log.time is not None and log.rating is not None
    return pd.DataFrame(
        {
            "user_id": [f"{MARK}-{place}" for place in user],
            "item_id": log.item + 1,
            "rating": log.rating.astype(int),
            "timestamp": log.time,
        }
    )


def people(log: EventLog, *, first: int = 0) -> pd.DataFrame:
    names = {"gender": ["F", "M", "zebra-other"], "region": ["north", "south", "west", ""]}
    return pd.DataFrame(
        {
            "user_id": [f"{MARK}-{place + first}" for place in range(log.users)],
            **{name: np.array(values)[log.attributes[name]] for name, values in names.items()},
        }
    )


def put(log: EventLog, folder: Path, **changes: str) -> Schema:
    """Log, tables and configuration in a folder."""
    folder.mkdir(exist_ok=True)
    schema, _ = prepared(folder)
    frame(log).to_csv(folder / "events.csv", index=False)
    people(log).to_csv(folder / "users.csv", index=False)
    text = (folder / "synthrec.toml").read_text(encoding="utf-8")
    for old, new in changes.items():
        text = re.sub(rf"(?m)^{old} = .*$", f"{old} = {new}", text)
    (folder / "synthrec.toml").write_text(text, encoding="utf-8")
    return Schema.load(folder / "synthrec.toml")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short game."""
    quick(monkeypatch)
    honest = recipe.game

    def game(schema: Schema, **options: Any) -> Any:
        found = honest(schema, **options)
        return found and found.model_copy(update={"steps": 23, "fakes_per_step": 16})

    monkeypatch.setattr(recipe, "game", game)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A release with a synthetic log, made once."""
    folder = tmp_path_factory.mktemp("release")
    with pytest.MonkeyPatch.context() as patch:
        short.__wrapped__(patch)  # type: ignore[attr-defined]
        schema = put(make_log(users=USERS), folder / "log")
        yield pipeline.fit(
            str(folder / "log" / "events.csv"),
            schema=schema,
            epsilon=5,
            delta=1e-4,
            out=folder / "out",
            synthetic_users=60,
            device="cpu",
        )


# what fit prints

DIFFERENCES = re.compile(r"\b\d+ (s|min)\b|release-\w+")


def fit_command(folder: Path, *, epsilon: str, delta: str) -> Result:
    return CliRunner().invoke(
        cli,
        [
            "fit",
            str(folder / "events.csv"),
            "--config",
            str(folder / "synthrec.toml"),
            "--epsilon",
            epsilon,
            "--delta",
            delta,
            "--out",
            str(folder / "out"),
            "--device",
            "cpu",
        ],
    )


def printed_by_cli(log: EventLog, folder: Path) -> list[str]:
    put(log, folder)
    result = fit_command(folder, epsilon="5", delta="1e-4")
    assert result.exit_code == 0, result.output
    return [
        DIFFERENCES.sub("", line.replace(str(folder), ""))
        for line in (result.stdout + result.stderr).splitlines()
    ]


def test_two_logs_that_differ_by_users_print_the_same_lines(short: None, tmp_path: Path) -> None:
    one, two = (
        printed_by_cli(make_log(users=USERS), tmp_path / "one"),
        printed_by_cli(make_log(users=USERS - 10, seed=1), tmp_path / "two"),
    )
    assert one == two and len(one) > 5
    assert not any(
        MARK in line or re.search(rf"\b({USERS}|{USERS - 10})\b", line) for line in one + two
    )


def test_a_count_that_is_printed_is_caught(
    short: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = training.train

    def talkative(members: EventLog, *, progress: Any, **options: Any) -> Any:
        progress.say(f"training on {members.users} users")
        return honest(members, progress=progress, **options)

    monkeypatch.setattr(training, "train", talkative)
    one, two = (
        printed_by_cli(make_log(users=USERS), tmp_path / "one"),
        printed_by_cli(make_log(users=USERS - 10), tmp_path / "two"),
    )
    assert one != two


@pytest.mark.parametrize("progress", [drawn.LineProgress, drawn.BarProgress])
def test_no_value_or_count_reaches_any_channel_in_python(
    progress: Callable[[], Any],
    short: None,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = make_log(users=USERS)
    schema = put(log, tmp_path / "log")
    with warnings.catch_warnings(record=True) as warned, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        Synthesizer(schema, make_plan(schema)).fit(
            str(tmp_path / "log" / "events.csv"), device="cpu", progress=progress()
        )
    said = capfd.readouterr()
    heard = said.out + said.err + caplog.text + "".join(str(each.message) for each in warned)
    heard = re.sub(r"\d+:\d\d:\d\d|\b\d+ ?%", "", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", heard))
    assert "game" in heard and MARK not in heard
    for count in (USERS, len(log.item), *log.activity.max(keepdims=True) * 1000 + 7):
        assert not re.search(rf"(?<![\d.]){count:,}(?![\d.])|(?<![\d.]){count}(?![\d.])", heard), (
            "a count"
        )


def test_reprs_of_what_fit_leaves_say_nothing_about_the_log(release: Path) -> None:
    loaded = Synthesizer.load(release)
    for part in (loaded.plan, loaded.record, loaded.schema, loaded.artifact.catalogue):
        assert MARK not in repr(part) and not re.search(rf"\b{USERS}\b", repr(part))


# never because of one person's values


def odd_person(schema: Schema) -> pd.DataFrame:
    """One user with every kind of cell that a log may hold."""
    heavy = pd.DataFrame(
        {
            "user_id": f"{MARK}-heavy",
            "item_id": np.resize(np.arange(1, 41), 10_000).astype(str),
            "rating": "5",
            "timestamp": str(START),
        }
    )
    odd = pd.DataFrame(
        {
            "user_id": f"{MARK}-odd",
            "item_id": ["", "nan", "99999999999999999999", "-1", "1e308", "3", "3"],
            "rating": ["NaN", "inf", "-inf", "1e400", "five", "6", "4"],
            "timestamp": ["0", "-1", "99999999999999999999999", "nan", "", "yesterday", str(START)],
        }
    )
    lost = pd.DataFrame(
        {
            "user_id": ["", "null", "x" * 5000],
            "item_id": "1",
            "rating": "3",
            "timestamp": str(START),
        }
    )
    return pd.concat([heavy, odd, lost])


@pytest.mark.parametrize("users", [0, 30])
def test_fit_never_stops_because_of_one_persons_values(
    users: int, short: None, tmp_path: Path
) -> None:
    schema = put(make_log(users=max(users, 2)), tmp_path / "log")
    events = pd.read_csv(tmp_path / "log" / "events.csv", dtype=str)
    pd.concat([events if users else events[:0], odd_person(schema)]).to_csv(
        tmp_path / "log" / "events.csv", index=False
    )
    fitted = Synthesizer(schema, make_plan(schema)).fit(
        str(tmp_path / "log" / "events.csv"), device="cpu"
    )
    assert len(fitted.sample(users=20).events) >= 20


def test_a_log_whose_users_are_all_kept_back_still_fits(
    short: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = put(make_log(users=5), tmp_path / "log")
    monkeypatch.setattr(
        "synthrec.data.reader.role_of", lambda ids, **_: np.full(len(ids), 2, dtype=np.int8)
    )
    fitted = Synthesizer(schema, make_plan(schema)).fit(
        str(tmp_path / "log" / "events.csv"), audit_share=0.9, device="cpu"
    )
    assert (
        events_of(Ledger.read(schema.ledger_path).entries)[-1].count == 3
        and len(fitted.sample(users=5).events) >= 5
    )


def spill_is_the_owners(folder: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Does a fit without a release folder spill beside the ledger, for its owner alone, and leave
    nothing, also when it fails?
    """
    schema = put(make_log(users=30), folder / "log")
    before, seen = set((folder / "log").iterdir()), []

    def reading(*words: Any, spill: Path, **named: Any) -> Any:
        seen.append((spill.parent == schema.ledger_path.parent, spill.stat().st_mode & 0o777))
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "read_log", reading)
    with pytest.raises(KeyboardInterrupt):
        Synthesizer(schema, make_plan(schema)).fit(str(folder / "log" / "events.csv"), device="cpu")
    return seen == [(True, 0o700)] and set((folder / "log").iterdir()) == before


def test_a_fit_without_a_folder_spills_beside_the_ledger_for_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert spill_is_the_owners(tmp_path, monkeypatch)


def test_spilling_to_the_systems_folder_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        training,
        "_spill",
        lambda keep, *, beside: contextlib.nullcontext(Path(tempfile.gettempdir())),
    )
    assert not spill_is_the_owners(tmp_path, monkeypatch)


# what a release holds


def test_share_holds_no_real_user_in_any_file(release: Path) -> None:
    for path in sorted((release / "share").rglob("*")):
        assert MARK.encode() not in path.read_bytes(), path.name
        if path.suffix == ".parquet":
            assert (
                MARK not in pq.read_table(path).to_pandas().to_csv()
                and MARK.encode() not in str(pq.read_schema(path).metadata).encode()
            )


def test_the_generator_holds_weights_tables_and_public_words_and_no_optimizer_or_rng_state(
    release: Path,
) -> None:
    arrays = load_file(release / "share" / "generator.safetensors")
    rooms = {
        "generator": {
            "factor",
            "scale",
            "gain",
            "effect",
            *(f"residual.{layer}.{part}" for layer in (0, 2, 4) for part in ("weight", "bias")),
        },
        "frame": {"features", "item_mean", "popularity"},
        "estimates": {"activity", "levels", "rating_shares", "moment", "taste_variance"},
        "tables": {"item_mean", "log_weight", "cuts"},
        "attribute": {"0", "1"},
        "times": {"start", "sessions", "span", "gap", "calendar", "hour"},
        "group": {"0", "1", "columns"},
    }
    assert {name: set() for name in arrays}.keys() == {
        f"{room}.{name}" for room, names in rooms.items() for name in names
    }
    words = json.loads((release / "share" / "generator.json").read_text())
    assert set(words) == {
        "format_version",
        "schema",
        "plan",
        "catalogue",
        "features",
        "activity_edges",
        "attributes",
        "groups",
        "rating_unit",
        "rating_noise",
        "game",
    }
    sizes = {size for array in arrays.values() for size in array.shape}
    log = make_log(users=USERS)
    assert not sizes & {USERS, USERS - 1, USERS + 1, len(log.item)}


def test_the_excerpt_and_the_record_say_what_the_ledger_says(release: Path) -> None:
    source = Ledger.read(release.parent / "log" / "small.ledger.jsonl")
    excerpt = [
        json.loads(line) for line in (release / "share" / "ledger.jsonl").read_text().splitlines()
    ]
    assert excerpt == [json.loads(entry.model_dump_json()) for entry in source.entries]
    loaded = Synthesizer.load(release)
    assert loaded.record.epsilon == Accountant(events_of(source.entries)).epsilon(1e-4) <= 5.0
    assert (
        events_of(source.entries)[:8] == loaded.plan.events()[:8]
        and sum(entry.event.count for entry in source.entries[8:]) == 23
    )
    assert (
        abs(loaded.record.epsilon_cross_check - loaded.record.epsilon) < 0.1
        and not loaded.record.not_private
    )


def test_an_altered_missing_or_added_file_of_a_release_is_refused_by_name(
    release: Path, tmp_path: Path
) -> None:
    for path in sorted((release / "share").iterdir()):
        body = path.read_bytes()
        changes: list[Callable[[Path], object]] = [
            Path.unlink,
            lambda at, body=body: at.write_bytes(body[: len(body) // 2]),  # type: ignore[misc]
            lambda at, body=body: at.write_bytes(body[:40] + bytes([body[40] ^ 1]) + body[41:]),
        ]  # type: ignore[misc]
        for place, change in enumerate(changes):
            copy = tmp_path / f"{path.name}.{place}"
            shutil.copytree(release / "share", copy / "share")
            change(copy / "share" / path.name)
            with pytest.raises(ReleaseError):
                Synthesizer.load(copy)
    shutil.copytree(release / "share", tmp_path / "more" / "share")
    (tmp_path / "more" / "share" / "rows.csv").write_text("1,2,3")
    with pytest.raises(ReleaseError, match="rows.csv"):
        Synthesizer.load(tmp_path / "more")


ODD = (None, -1, 1e99, "x", [], {}, [[1], "a"], [None] * 3, True)


def test_a_generator_of_nonsense_with_a_manifest_that_agrees_fails_cleanly_or_loads(
    release: Path, tmp_path: Path
) -> None:
    shutil.copytree(release / "share", tmp_path / "share")
    words = json.loads((release / "share" / "generator.json").read_text())
    refused = 0
    for name in words:
        for odd in ODD:
            (tmp_path / "share" / "generator.json").write_text(json.dumps({**words, name: odd}))
            try:
                Artifact.load(tmp_path / "share")
            except SynthrecError:
                refused += 1
    assert refused > len(words)
    for body in (
        "",
        "[]",
        "3",
        "null",
        "{",
        '{"format_version": 1}',
        "\x00",
        '{"format_version": 2}',
    ):
        (tmp_path / "share" / "generator.json").write_text(body)
        write_manifest(tmp_path / "share")
        with pytest.raises(ReleaseError):
            Synthesizer.load(tmp_path)


def test_a_generator_with_arrays_missing_or_of_another_shape_fails_cleanly(
    release: Path, tmp_path: Path
) -> None:
    shutil.copytree(release / "share", tmp_path / "share")
    arrays = load_file(release / "share" / "generator.safetensors")
    for name, array in arrays.items():
        others = {other: kept for other, kept in arrays.items() if other != name}
        reshaped = (
            [{name: np.ravel(array)[:1]}, {name: np.zeros(0)}]
            if name.startswith("generator.")
            else []
        )
        optional = (
            "estimates.moment",
            "estimates.taste_variance",
            "times.start",
        )  # a model without tastes or times has none
        missing = [] if name in optional else [{}]
        for changed in (*missing, *reshaped):
            save_file({**others, **changed}, tmp_path / "share" / "generator.safetensors")
            with pytest.raises(ReleaseError):
                Artifact.load(tmp_path / "share")


# round trip


def test_a_saved_release_draws_the_same_users_as_the_one_that_was_fitted(
    short: None, tmp_path: Path
) -> None:
    schema = put(make_log(users=USERS), tmp_path / "log")
    fitted = Synthesizer(schema, make_plan(schema)).fit(frame(make_log(users=USERS)), device="cpu")
    loaded = Synthesizer.load(fitted.save(tmp_path / "release"))
    again = Synthesizer.load(loaded.save(tmp_path / "again"))
    drawn_users = [each.sample(users=50, seed=7) for each in (fitted, loaded, again, fitted)]
    for other in drawn_users[1:]:
        pd.testing.assert_frame_equal(drawn_users[0].events, other.events)
        pd.testing.assert_frame_equal(drawn_users[0].users, other.users)
    assert not drawn_users[0].events.equals(fitted.sample(users=50, seed=8).events)
    assert not fitted.sample(users=50).events.equals(fitted.sample(users=50).events)
    assert not (tmp_path / "release" / "private").exists() and loaded.record == fitted.record


def test_a_seed_fixes_samples_and_never_the_noise(short: None, tmp_path: Path) -> None:
    values = []
    for place in range(2):
        import torch

        np.random.seed(0)  # noqa: NPY002  (what a careless caller does)
        torch.manual_seed(0)
        schema = put(make_log(users=USERS), tmp_path / str(place))
        values.append(
            Synthesizer(schema, make_plan(schema, model="moments"))
            .fit(frame(make_log(users=USERS)), device="cpu")
            .artifact
        )
    for name in ("activity", "rating_shares", "moment"):
        assert not np.array_equal(
            getattr(values[0].estimates, name), getattr(values[1].estimates, name)
        ), name


def test_a_log_sampled_into_share_becomes_part_of_the_release(
    release: Path, tmp_path: Path
) -> None:
    shutil.copytree(release, tmp_path / "out")
    for name in ("events.parquet", "users.parquet"):
        (tmp_path / "out" / "share" / name).unlink()
    write_manifest(tmp_path / "out" / "share")
    before = Synthesizer.load(tmp_path / "out").record
    pipeline.sample(tmp_path / "out", users=7, out=tmp_path / "elsewhere.parquet", seed=3)
    assert Synthesizer.load(tmp_path / "out").record == before
    pipeline.sample(
        tmp_path / "out", users=7, out=tmp_path / "out" / "share" / "events.parquet", seed=3
    )
    after = Synthesizer.load(tmp_path / "out").record
    assert (after.synthetic_users, after.seed_of_sampling) == (7, 3)
    assert pq.read_table(tmp_path / "out" / "share" / "users.parquet").num_rows == 7


# budget


def test_past_the_cap_fit_refuses_with_what_is_left_and_does_not_open_the_log(
    short: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = put(make_log(users=USERS), tmp_path / "log", epsilon_cap="6.0")
    plan = make_plan(schema, model="moments")
    Synthesizer(schema, plan).fit(frame(make_log(users=USERS)), device="cpu")
    before = schema.ledger_path.read_bytes()
    monkeypatch.setattr(training, "read_log", lambda *_, **__: pytest.fail("the log was opened"))
    with pytest.raises(BudgetError, match=r"epsilon_cap = 6.*About [23]\.[0-9] is left"):
        Synthesizer(schema, plan).fit(frame(make_log(users=USERS)), device="cpu")
    assert schema.ledger_path.read_bytes() == before
    monkeypatch.setattr(
        "synthrec.privacy.session.require_budget", lambda *_, **__: None
    )  # the saboteur
    with pytest.raises(pytest.fail.Exception):
        Synthesizer(schema, plan).fit(frame(make_log(users=USERS)), device="cpu")


def test_a_plan_without_noise_is_no_way_past_the_cap(tmp_path: Path) -> None:
    schema = put(make_log(users=USERS), tmp_path / "log")
    plan = recipe.plan_release(schema, epsilon=float("inf"), delta=1e-4, model="moments")
    with pytest.raises(BudgetError):
        Synthesizer(schema, plan).fit(frame(make_log(users=USERS)), device="cpu")


def test_without_noise_a_published_log_may_be_fitted_and_the_release_says_not_private(
    short: None, tmp_path: Path
) -> None:
    schema = put(make_log(users=USERS), tmp_path / "log")
    text = (
        (tmp_path / "log" / "synthrec.toml")
        .read_text()
        .replace("[source]", "[source]\npublic = true")
    )
    (tmp_path / "log" / "synthrec.toml").write_text(text)
    schema = Schema.load(tmp_path / "log" / "synthrec.toml")
    plan = recipe.plan_release(schema, epsilon=float("inf"), delta=1e-4, model="moments")
    record = Synthesizer(schema, plan).fit(frame(make_log(users=USERS)), device="cpu").record
    assert record.not_private and record.epsilon == float("inf") and record.bound.auc == 1.0


def test_a_plan_for_another_population_bound_or_schema_is_refused_before_anything_is_charged(
    tmp_path: Path,
) -> None:
    schema = put(make_log(users=USERS), tmp_path / "log")
    plan = make_plan(schema)
    fewer = plan.model_copy(update={"measurements": plan.measurements[:-1]})
    wider = plan.model_copy(
        update={
            "measurements": (
                plan.measurements[0].model_copy(update={"sensitivity": 9.0}),
                *plan.measurements[1:],
            )
        }
    )
    for wrong in (
        plan.model_copy(update={"population": 3000}),
        plan.model_copy(update={"events_per_user": 21}),
        fewer,
        wider,
    ):
        with pytest.raises(PlanError, match="made for the schema"):
            Synthesizer(schema, wrong).fit(frame(make_log(users=USERS)), device="cpu")
    assert not schema.ledger_path.exists()


@pytest.mark.parametrize(
    ("epsilon", "delta"),
    [("0", "1e-5"), ("-1", "1e-5"), ("nan", "1e-5"), ("3", "5e-4"), ("3", "0"), ("inf", "1e-5")],
)
def test_the_command_refuses_a_budget_that_protects_nobody_and_writes_nothing(
    epsilon: str, delta: str, tmp_path: Path
) -> None:
    put(make_log(users=USERS), tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    result = fit_command(tmp_path, epsilon=epsilon, delta=delta)
    assert result.exit_code == 2, result.output
    assert {path.name for path in tmp_path.iterdir()} == before


# who takes part


def members_of(release: Path) -> set[Any]:
    log = EventLog.open(release / "private" / "bounded")
    assert log.time is not None
    return {
        tuple(zip(log.item[start:stop].tolist(), log.time[start:stop].tolist(), strict=True))
        for start, stop in zip(log.offsets[:-1], log.offsets[1:], strict=True)
    }


def test_one_user_more_moves_nobody_in_or_out_of_training(short: None, tmp_path: Path) -> None:
    log = make_log(users=USERS)
    schema = put(log, tmp_path / "log", epsilon_cap="60.0")
    found = []
    for place, users in enumerate((USERS, USERS - 1)):
        part = frame(log.select(np.arange(users)))
        found.append(
            members_of(
                pipeline.fit(
                    part,
                    schema=schema,
                    epsilon=5,
                    delta=1e-4,
                    out=tmp_path / f"out{place}",
                    model="marginals",
                    audit_share=0.5,
                    device="cpu",
                )
            )
        )
    assert found[1] <= found[0] and len(found[0]) - len(found[1]) in (0, 1)
    assert 0.15 * USERS < len(found[0]) < 0.85 * USERS


def sums(log: pd.DataFrame, schema: Schema, replies: Replies, **options: Any) -> Replies:
    noise = FrozenNoise(replies=replies)
    frozen = training.Instruments(open_session=partial(Session.open, noise=noise))
    asked = training.TrainingOptions(device="cpu", **options)
    training.train_on(log, schema, make_plan(schema, model="moments"), asked, instruments=frozen)
    return noise.totals


def test_who_opted_out_leaves_no_trace_in_any_measurement(short: None, tmp_path: Path) -> None:
    log = make_log(users=USERS)
    schema = put(log, tmp_path / "log", epsilon_cap="60.0")
    (tmp_path / "out.txt").write_text(f"{MARK}-3\n{MARK}-{USERS - 1}\n")
    whole, replies = frame(log), Replies()
    kept = whole[~whole["user_id"].isin([f"{MARK}-3", f"{MARK}-{USERS - 1}"])]
    everybody, excluded, absent = (
        sums(whole, schema, replies),
        sums(whole, schema, replies, exclude_users=tmp_path / "out.txt"),
        sums(kept, schema, replies),
    )
    for name in everybody:
        assert np.array_equal(excluded[name], absent[name]) and not np.array_equal(
            everybody[name], absent[name]
        ), name


def test_rows_in_another_order_ask_the_same_of_the_log(short: None, tmp_path: Path) -> None:
    schema = put(make_log(users=USERS), tmp_path / "log", epsilon_cap="60.0")
    log, replies = frame(make_log(users=USERS)), Replies()
    one, two = sums(log, schema, replies), sums(log.sample(frac=1, random_state=1), schema, replies)
    assert all(np.array_equal(one[name], two[name]) for name in one) and set(one) == {
        each.name for each in make_plan(schema, model="moments").measurements
    }

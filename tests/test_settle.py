"""Open columns from end to end: what is named and bounded is paid for first, by members alone;
nothing else of the look leaves.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from synthrec import auditing, domain_discovery, pipeline, training
from synthrec.cli.main import cli
from synthrec.data import reader
from synthrec.data.eventlog import EventLog
from synthrec.data.open_domains import PaidColumn, is_open, paid_columns, widened
from synthrec.data.schema import Schema
from synthrec.data.splits import TRAINS, role_of
from synthrec.errors import BudgetError, DataError, PlanError, ReleaseError, SchemaError
from synthrec.inspection.checks import verify_share
from synthrec.inspection.share import inspect_share
from synthrec.model.recipe import plan_release
from synthrec.privacy.accounting import Accountant
from synthrec.privacy.ledger import Charge, Entry, Ledger, events_of, extra_delta_of
from synthrec.privacy.session import Session
from synthrec.progress import Progress
from synthrec.release import Folder
from synthrec.report.record import ReleaseRecord, read_record, write_record
from synthrec.synthesizer import Synthesizer
from tests.data.typed import shop
from tests.manifests import write_manifest

USERS, EPSILON, DELTA = 300, 8.0, 1e-4
MARK = "zebra"
CONFIG = """
[source]
name = "open shop"
population = 300
ledger = "shop.ledger.jsonl"
epsilon_cap = 10.0
[privacy]
events_per_user = 30
unit = "user_id"
[columns]
user_id = { role = "user" }
item_id = { role = "item", vocabulary = "dp" }
timestamp = { type = "datetime", unit = "s", zone = "Europe/Madrid", bounds = "dp" }
action = { type = "categorical", vocabulary = "dp" }
quantity = { type = "numeric", bounds = "dp", bins = 20, scale = "log", decimals = 0 }
price = { type = "numeric", bounds = "dp", bins = 20, scale = "log", decimals = 2, of = "item" }
[users]
table = "users.csv"
age = { type = "numeric", bounds = "dp", bins = 8, decimals = 0 }
city = { type = "categorical", vocabulary = "dp" }
[events]
repeats = true
"""


def put(folder: Path, *, text: str = CONFIG) -> tuple[pd.DataFrame, Schema]:
    """A log, its user table and its configuration; user 1 alone has marked items, an odd action, a
    far time and a huge quantity.
    """
    log = shop(users=USERS).drop(columns=["basket", "country"])
    log["item_id"] = "art-" + log["item_id"].astype(str)
    lonely = pd.DataFrame(
        {
            "user_id": "1",
            "item_id": [f"{MARK}-{place}" for place in range(40)],
            "timestamp": 4_000_000_000,
            "action": f"{MARK}-action",
            "quantity": 10**9,
            "price": 0.001,
        }
    )
    log = pd.concat([log, lonely])
    log.to_csv(folder / "events.csv", index=False)
    users, rng = np.arange(1, USERS + 1), np.random.default_rng(0)
    people = pd.DataFrame(
        {
            "user_id": users,
            "age": rng.integers(18, 80, USERS),
            "city": rng.choice(["Lisboa", "Porto"], USERS),
        }
    )
    people.loc[0, ["age", "city"]] = [140, f"{MARK}-city"]
    people.to_csv(folder / "users.csv", index=False)
    (folder / "synthrec.toml").write_text(text, encoding="utf-8")
    return log, Schema.load(folder / "synthrec.toml")


def settled(
    log: Any,
    schema: Schema,
    folder: Path,
    *,
    epsilon: float = EPSILON,
    audit_share: float = 0.0,
    exclude_users: Path | None = None,
) -> tuple[domain_discovery.SettledSchema, Ledger]:
    plan = plan_release(schema, epsilon=epsilon, delta=DELTA, model="marginals")
    with Ledger.open(folder / "one.jsonl") as ledger:
        session = Session(
            plan, ledger=ledger, charge=Charge(source="open shop", release_id="r", kind="release")
        )
        found = domain_discovery.discover_domains(
            log,
            schema,
            None,
            session=session,
            spill=folder / "spill",
            role_key=b"k" * 32,
            audit_share=audit_share,
            exclude_users=exclude_users,
            progress=Progress(),
        )
    return found, ledger


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("open")
    _, schema = put(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            domain_discovery, "FALSE_BIN", 1e-7
        )  # else one release in some thousands has a bin that nobody is in
        fitted(folder, schema)
    return folder


def fitted(folder: Path, schema: Schema) -> None:
    pipeline.fit(
        str(folder / "events.csv"),
        schema=schema,
        epsilon=EPSILON,
        delta=DELTA,
        out=folder / "out",
        model="moments",
        synthetic_users=200,
        device="cpu",
    )
    pipeline.report(folder / "out")


def test_a_log_without_catalogue_becomes_a_release_whose_items_are_those_that_enough_users_hold(
    release: Path,
) -> None:
    loaded = Synthesizer.load(release / "out")
    values = loaded.schema.item_column.values
    real = pd.read_csv(release / "events.csv")
    assert (
        values is not None
        and 5 <= len(values) < real["item_id"].nunique()
        and set(values) <= set(real["item_id"])
    )
    assert not is_open(loaded.schema) and paid_columns(loaded.schema)
    assert (
        loaded.schema.time is not None
        and "2024-01-01" <= str(loaded.schema.time.min) < str(loaded.schema.time.max) < "2025-02-01"
    )
    assert loaded.schema.kind is not None and "buy" in loaded.schema.kind.labels
    sample = loaded.sample(users=50, seed=0)
    assert set(sample.events["item_id"]) <= set(values) and set(sample.users["city"].dropna()) <= {
        "Lisboa",
        "Porto",
    }
    record = loaded.record
    assert (
        len(record.paid_declarations) == len(paid_columns(loaded.schema))
        and "cover about" in record.paid_declarations[0]
    )
    assert not any(
        "item ids" in line or "timestamp" in line or "age" in line
        for line in record.public_declarations
    )
    assert "Open, and paid for by this release" in (
        release / "out" / "share" / "report.html"
    ).read_text(encoding="utf-8")


def test_nothing_that_one_user_alone_holds_is_anywhere_in_a_release(release: Path) -> None:
    share = release / "out" / "share"
    assert not any(MARK.encode() in path.read_bytes() for path in share.iterdir())
    assert (
        json.loads((share / "generator.json").read_text(encoding="utf-8"))["schema"]["columns"][
            "quantity"
        ]["max"]
        < 10**6
    )


def test_the_ledger_holds_the_looks_first_and_the_claim_counts_their_thresholds(
    release: Path,
) -> None:
    loaded, entries = (
        Synthesizer.load(release / "out"),
        Ledger.read(release / "shop.ledger.jsonl").entries,
    )
    looks = loaded.plan.openings
    assert [entry.mechanism for entry in entries[: len(looks)]] == [look.name for look in looks]
    assert (
        events_of(entries) == loaded.plan.events()
        and extra_delta_of(entries) == pytest.approx(DELTA / 4) == loaded.plan.extra_delta
    )
    assert loaded.record.epsilon == pytest.approx(
        Accountant(events_of(entries), extra_delta=DELTA / 4).epsilon(DELTA)
    )
    assert Accountant(events_of(entries)).epsilon(DELTA) < loaded.record.epsilon <= EPSILON
    assert loaded.record.epsilon_cross_check <= EPSILON
    assert loaded.plan.budget_share["vocabulary of item_id"] == pytest.approx(0.20)
    assert {
        each.name: each.extra_delta for each in loaded.record.mechanisms if each.extra_delta
    } == {look.name: look.extra_delta for look in looks if look.most_keys}


def test_a_threshold_that_is_not_charged_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, schema = put(tmp_path)
    honest = Charge.entry
    monkeypatch.setattr(
        Charge, "entry", lambda self, *, extra_delta=0.0, **words: honest(self, **words)
    )
    _, ledger = settled(log, schema, tmp_path)
    assert (
        extra_delta_of(ledger.entries)
        != plan_release(schema, epsilon=EPSILON, delta=DELTA, model="marginals").extra_delta
    )


def test_the_cap_counts_thresholds_too(tmp_path: Path) -> None:
    log, schema = put(tmp_path)
    tight = schema.model_copy(
        update={"source": schema.source.model_copy(update={"epsilon_cap": 7.995})}
    )
    plan = plan_release(tight, epsilon=EPSILON, delta=DELTA, model="marginals")
    assert Accountant(plan.events()).epsilon(DELTA) < 7.995 < plan.accountant().epsilon(DELTA)
    with pytest.raises(BudgetError, match="epsilon_cap"):
        Synthesizer(tight, plan).fit(log)
    assert not tight.ledger_path.exists()


# what a recipient can check


def changed(
    release: Path,
    place: Path,
    *,
    words: dict[str, Any] | None = None,
    said: list[str] | None = None,
) -> Path:
    """A copy of share/ with another plan, or other paid declarations, listed by a manifest of its
    own.
    """
    share = Path(shutil.copytree(release / "out" / "share", place / "share"))
    if words is not None:
        old = json.loads((share / "generator.json").read_text(encoding="utf-8"))
        (share / "generator.json").write_text(
            json.dumps(old | {"plan": old["plan"] | words}, indent=1), encoding="utf-8"
        )
    if said is not None:
        record = read_record(share / "release.json", kind=ReleaseRecord)
        write_record(
            record.model_copy(update={"paid_declarations": tuple(said)}),
            path=share / "release.json",
        )
    write_manifest(share)
    return share


def test_a_release_with_open_columns_passes_inspect_and_a_recipient_computes_its_epsilon(
    release: Path,
) -> None:
    inspection, checks = (
        inspect_share(release / "out" / "share"),
        verify_share(release / "out" / "share"),
    )
    assert [(part.file, part.name, part.problem) for part in inspection.problems] == []
    assert all(check.passed for check in checks) and {
        "epsilon (PLD)",
        "epsilon (PRV)",
        "profile",
    } <= {check.name for check in checks}
    assert any(
        part.name == "schema" and "paid by looks" in part.origin for part in inspection.parts
    )


def test_an_inspection_knows_looks_thresholds_and_what_they_found(
    release: Path, tmp_path: Path
) -> None:
    plan, said = (
        Synthesizer.load(release / "out").plan,
        list(Synthesizer.load(release / "out").record.paid_declarations),
    )
    looks = [look.model_dump() for look in plan.openings]
    counted = said[0].replace("cover about", "cover 1,234 of about")
    for place, (part, change) in enumerate(
        (
            ("all lines", {"words": {"openings": []}}),
            ("the file", {"words": {"openings": looks[1:]}}),
            ("all lines", {"words": {"openings": [look | {"extra_delta": 0.0} for look in looks]}}),
            ("paid_declarations", {"said": said[1:]}),
            ("paid_declarations", {"said": [*said, "user 1 is in the log."]}),
            ("paid_declarations", {"said": [counted, *said[1:]]}),
        )
    ):
        (tmp_path / str(place)).mkdir()
        found = inspect_share(changed(release, tmp_path / str(place), **change))
        assert part in {each.name for each in found.problems}, change


def test_an_entry_without_its_thresholds_delta_does_not_pass(release: Path, tmp_path: Path) -> None:
    share = changed(release, tmp_path)
    lines = (share / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    first = Entry.model_validate_json(lines[0]).model_copy(update={"extra_delta": 0.0})
    lines[0] = first.model_copy(update={"hash": first.digest()}).model_dump_json()
    (share / "ledger.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    write_manifest(share)
    assert {part.name for part in inspect_share(share).problems} == {"all lines"}


# a training that dies, and what an audit trains


def test_a_training_with_open_columns_is_not_continued_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, schema = put(tmp_path)

    def dies(*_: Any, **options: Any) -> None:
        assert options["session"]._store is None
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", dies)
    monkeypatch.setattr(domain_discovery, "FALSE_BIN", 1e-7)
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path, schema)
    spent = Ledger.read(schema.ledger_path).entries
    assert len(spent) == len(
        plan_release(schema, epsilon=EPSILON, delta=DELTA, model="moments").openings
    )
    assert pipeline.left_folders(tmp_path / "out") == () and training.key_path(schema).exists()
    (tmp_path / ".out.partial-1" / "private" / "checkpoint").mkdir(parents=True)
    with pytest.raises(ReleaseError, match="without --resume"):
        pipeline.resume(
            schema=schema,
            epsilon=EPSILON,
            delta=DELTA,
            out=tmp_path / "out",
            model="moments",
            device="cpu",
        )
    assert Ledger.read(schema.ledger_path).entries == spent


def test_a_baseline_is_charged_for_what_it_asks_and_lists_no_looks(
    release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, kept = Synthesizer.load(release / "out"), list[Any]()
    monkeypatch.setattr(auditing, "_keep", lambda artifact, *, place: kept.append(artifact))
    monkeypatch.setattr(auditing.Artifact, "load", lambda place: None)
    monkeypatch.setattr(Folder, "write", lambda self, record: None)
    schema = loaded.schema.model_copy(update={"folder": release})
    plan = plan_release(
        schema, epsilon=loaded.artifact.plan.epsilon, delta=DELTA, model="marginals"
    )
    assert plan.openings
    auditing.trained_internally(
        Folder(release / "out"),
        place=release / "nowhere",
        name="marginals",
        schema=schema,
        plan=plan,
        log=EventLog.open(release / "out" / "private" / "bounded"),
        progress=Progress(),
    )
    mine = Ledger.read(release / "shop.ledger.jsonl").internal()
    planned = kept[0].plan
    assert planned.openings == () and planned.extra_delta == 0 == extra_delta_of(mine)
    assert [entry.mechanism for entry in mine] == [each.name for each in planned.measurements]
    assert {entry.planned for entry in mine} == {len(mine)} and Accountant(events_of(mine)).epsilon(
        DELTA
    ) < EPSILON


# replay: with all answers frozen, one user changes nothing that leaves

Answers = dict[str, Any]


def frozen(monkeypatch: pytest.MonkeyPatch, answers: Answers) -> None:
    """Unions and sums give the answers that the first log got."""
    union, total = Session.select_partitions, Session.histogram
    monkeypatch.setattr(
        Session,
        "select_partitions",
        lambda self, name, read: answers.setdefault(name, union(self, name, read)),
    )
    monkeypatch.setattr(
        Session,
        "histogram",
        lambda self, name, read, **shape: answers.setdefault(
            name, total(self, name, read, **shape)
        ),
    )


def replays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    log, schema = put(folder)
    frozen(monkeypatch, {})
    found = []
    for place, part in enumerate((log, log[log["user_id"] != "1"], log[log["user_id"] != "7"])):
        (folder / str(place)).mkdir()
        result, ledger = settled(part, schema, folder / str(place))
        found.append(
            (
                result.schema.model_dump_json(),
                result.said,
                [(entry.mechanism, entry.event) for entry in ledger.entries],
            )
        )
    return found[0] == found[1] == found[2]


def test_with_all_answers_frozen_a_schema_settles_alike_with_and_without_a_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert replays(tmp_path, monkeypatch)


def test_a_vocabulary_from_the_log_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, values = domain_discovery.vocabulary, domain_discovery._values
    seen: list[domain_discovery.OpenedLog] = []

    def looking(log: domain_discovery.OpenedLog, column: PaidColumn, **options: Any) -> Any:
        seen.append(log)
        return values(log, column, **options)

    def all_of_them(column: PaidColumn, keys: Any, **options: Any) -> Any:
        return honest(column, list(seen[-1].key_sets(column, most=30).keys), **options)

    monkeypatch.setattr(domain_discovery, "_values", looking)
    monkeypatch.setattr(domain_discovery, "vocabulary", all_of_them)
    assert not replays(tmp_path, monkeypatch)


def test_bounds_from_the_log_are_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = domain_discovery.OpenedLog.histograms
    held: list[np.ndarray] = []

    def remembering(self: domain_discovery.OpenedLog, column: PaidColumn) -> Any:
        blocks = list(honest(self, column))
        held.append(np.flatnonzero(sum(np.asarray(block.sum(axis=0)).ravel() for block in blocks)))
        return iter(blocks)

    monkeypatch.setattr(domain_discovery.OpenedLog, "histograms", remembering)
    monkeypatch.setattr(
        domain_discovery,
        "_range",
        lambda found, *, name: {"first": int(held[-1][0]), "last": int(held[-1][-1])},
    )
    assert not replays(tmp_path, monkeypatch)


# who is looked at


def looked_at(log: pd.DataFrame, schema: Schema, folder: Path, **options: Any) -> dict[str, float]:
    """Squared norms that each column's blocks sum to: the number of users who hold anything."""
    with domain_discovery.open_log(
        log,
        schema,
        None,
        spill=folder / "spill",
        role_key=b"k" * 32,
        progress=Progress(),
        **{"audit_share": 0.0, "exclude_users": None, **options},
    ) as found:
        norms = {}
        for column in paid_columns(schema):
            blocks = (
                found.histograms(column)
                if column.bounded
                else found.key_sets(column, most=30).blocks
            )
            rows = sum(
                (np.asarray(block.multiply(block).sum(axis=1)).ravel() for block in blocks),
                start=np.zeros(1),
            )
            assert not column.bounded or rows.max() <= 1 + 1e-9
            norms[column.label] = float((rows > 0).sum())
        return norms


def test_only_users_who_train_are_looked_at_and_those_who_opted_out_are_gone(
    tmp_path: Path,
) -> None:
    log, schema = put(tmp_path)
    roles = role_of([str(user) for user in range(1, USERS + 1)], key=b"k" * 32, audit_share=0.4)
    assert set(looked_at(log, schema, tmp_path, audit_share=0.4).values()) == {
        float(np.isin(roles, TRAINS).sum())
    }
    (tmp_path / "out.txt").write_text("1\n2\n", encoding="utf-8")
    assert set(looked_at(log, schema, tmp_path, exclude_users=tmp_path / "out.txt").values()) == {
        USERS - 2.0
    }


def test_a_part_of_the_rows_at_a_time_gives_the_same_histograms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, schema = put(tmp_path)

    def sums() -> dict[str, np.ndarray]:
        with domain_discovery.open_log(
            log,
            schema,
            None,
            spill=tmp_path / "spill",
            role_key=b"k" * 32,
            audit_share=0.0,
            exclude_users=None,
            progress=Progress(),
        ) as found:
            return {
                column.label: sum(
                    np.asarray(block.sum(axis=0)).ravel() for block in found.histograms(column)
                )
                for column in paid_columns(schema)
                if column.bounded
            }

    whole = sums()
    monkeypatch.setattr(reader, "ROWS_AT_ONCE", 100)
    assert all(found == pytest.approx(whole[name]) for name, found in sums().items())


def test_coverage_counts_at_most_k_events_of_a_user(tmp_path: Path) -> None:
    log = pd.DataFrame(
        {
            "user_id": ["a"] * 10_000 + ["b"] * 2,
            "item_id": ["x"] * 9_000 + ["y"] * 1_000 + ["x", "y"],
        }
    )
    text = CONFIG[: CONFIG.index("timestamp")] + "[events]\nrepeats = true\n"
    schema = Schema.parse(text, folder=tmp_path)
    with domain_discovery.open_log(
        log,
        schema,
        None,
        spill=tmp_path / "spill",
        role_key=b"k" * 32,
        audit_share=0.0,
        exclude_users=None,
        progress=Progress(),
    ) as found:
        rows = next(found.covered(paid_columns(schema)[0], ("x",), most=4))
    assert sorted(rows.tolist()) == [[0.25, 0.5], [0.9, 1.0]]


# what is refused, and when


@pytest.mark.parametrize(
    ("old", "new", "error", "words"),
    [
        (
            'vocabulary = "dp" }\ntimestamp',
            'vocabulary = "dp", values = ["a", "b"] }\ntimestamp',
            SchemaError,
            "not both",
        ),
        (
            'bounds = "dp" }\naction',
            'bounds = "dp", min = "2024-01-01", max = "2024-02-01" }\naction',
            SchemaError,
            "not both",
        ),
        (
            'bounds = "dp", bins = 8',
            'bounds = "dp", min = 0, max = 100, bins = 8',
            SchemaError,
            "not both",
        ),
        ('bounds = "dp", bins = 8', 'bounds = "dp", min = 0, bins = 8', SchemaError, "min and max"),
    ],
)
def test_what_dp_buys_is_never_written_by_hand(
    old: str, new: str, error: type[Exception], words: str
) -> None:
    assert old in CONFIG
    with pytest.raises(error, match=words):
        Schema.parse(CONFIG.replace(old, new))


def test_a_log_that_cannot_be_read_is_refused_before_anything_is_charged(tmp_path: Path) -> None:
    log, schema = put(tmp_path)
    plan = plan_release(schema, epsilon=EPSILON, delta=DELTA, model="marginals")
    for broken in (log.drop(columns="item_id"), log.assign(timestamp="never")):
        with pytest.raises(DataError):
            Synthesizer(schema, plan).fit(broken)
    assert not schema.ledger_path.exists() and not training.key_path(schema).exists()


def test_a_vocabulary_that_nobody_shares_is_an_error_that_names_no_value_and_stays_charged(
    tmp_path: Path,
) -> None:
    log, schema = put(tmp_path)
    lonely = log.assign(item_id=[f"{MARK}-{place}" for place in range(len(log))])
    with pytest.raises(DataError, match="enough users hold") as caught:
        Synthesizer(
            schema, plan_release(schema, epsilon=EPSILON, delta=DELTA, model="marginals")
        ).fit(lonely)
    assert (
        MARK not in str(caught.value)
        and Ledger.read(schema.ledger_path).entries[0].mechanism == "vocabulary of item_id"
    )


def test_a_plan_for_another_schema_and_a_schema_that_is_settled_are_refused(
    tmp_path: Path, release: Path
) -> None:
    log, schema = put(tmp_path)
    plan = plan_release(schema, epsilon=EPSILON, delta=DELTA, model="marginals")
    with pytest.raises(PlanError, match="made for the schema"):
        Synthesizer(schema, plan.model_copy(update={"openings": plan.openings[1:]})).fit(log)
    again = Synthesizer.load(release / "out")
    moved = again.schema.model_copy(
        update={
            "folder": tmp_path,
            "source": schema.source.model_copy(update={"epsilon_cap": 100.0}),
        }
    )
    with pytest.raises(SchemaError, match="settled once"):
        Synthesizer(moved, again.plan).fit(log)
    assert not schema.ledger_path.exists()


@pytest.mark.parametrize("command", [["plan", "--epsilon", "8", "--delta", "1e-4"], ["check"]])
def test_plan_and_check_know_open_columns(command: list[str], tmp_path: Path) -> None:
    put(tmp_path)
    config = str(tmp_path / "synthrec.toml")
    words = [str(tmp_path / "events.csv"), "--config", config] if command == ["check"] else [config]
    result = CliRunner().invoke(cli, [command[0], *words, *command[1:]])
    assert result.exit_code == 0, result.output
    assert ("PRIVATE" if command == ["check"] else "which cover") in result.output
    assert command == ["check"] or "the threshold costs" in result.output


def test_the_plan_is_the_same_before_and_after_settling(tmp_path: Path, release: Path) -> None:
    """Else what is found would move sensitivities and noise: an audit's baselines are planned from
    the settled schema.
    """
    _, schema = put(tmp_path)
    after = Synthesizer.load(release / "out").schema
    for model in ("gan", "moments", "marginals"):
        assert plan_release(schema, epsilon=3, delta=DELTA, model=model) == plan_release(
            after, epsilon=3, delta=DELTA, model=model
        )


@pytest.mark.parametrize(
    ("decimals", "value"),
    [(0, 1.0), (0, 7.0), (2, 3.0), (2, 0.01), (None, 1e9), (0, -12.0), (0, 0.0)],
)
def test_a_grid_holds_every_value_and_bounds_hold_the_values_of_their_bins(
    decimals: int | None, value: float
) -> None:
    places = "" if decimals is None else f", decimals = {decimals}"
    text = CONFIG.replace(
        'bins = 20, scale = "log", decimals = 0', f'bins = 5, scale = "log"{places}'
    )
    column = next(each for each in paid_columns(Schema.parse(text)) if each.name == "quantity")
    grid = column.grid()
    assert (np.diff(grid) > 0).all()
    place = int(np.searchsorted(grid, value, side="right")) - 1
    words = column.bounds(first=place, last=place)
    assert words["min"] <= value <= words["max"]
    assert decimals != 0 or all(isinstance(words[end], int) for end in ("min", "max"))


def test_months_are_those_of_the_columns_zone() -> None:
    column = next(each for each in paid_columns(Schema.parse(CONFIG)) if each.name == "timestamp")
    place = (
        int(np.searchsorted(column.grid(), 1_704_067_200 - 3_600, side="right")) - 1
    )  # midnight of 2024 in Madrid
    assert column.bounds(first=place, last=place + 1) == {"min": "2024-01-01", "max": "2024-02-29"}
    wide = widened(Schema.parse(CONFIG)).time
    assert (
        wide is not None
        and wide.min_seconds == column.grid()[0]
        and wide.max_seconds == column.grid()[-1] - 1
    )

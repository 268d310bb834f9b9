"""Files made by an attacker: every reader returns, or raises one of our exceptions, whatever the
bytes.

A valid file is changed by a few edits (bytes flipped, cut, doubled; a number made giant; nesting
without end; another JSON value), which reaches deeper than random bytes. The quick suite runs some
hundred cases a reader, the slow one 100,000.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synthrec import __version__
from synthrec.audit.record import AuditRecord
from synthrec.conformance.record import Check, Conformance
from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.data.simulator import simulate
from synthrec.errors import SynthrecError
from synthrec.inspection.checks import verify_share
from synthrec.inspection.mechanism import SUBJECT, mechanism_of
from synthrec.inspection.record import excerpt_of
from synthrec.inspection.tables import tables_of
from synthrec.model.artifact import Artifact, read_words
from synthrec.model.recipe import plan_release
from synthrec.privacy.ledger import Ledger
from synthrec.release import open_folder
from synthrec.report.manifest import verify_manifest
from synthrec.report.record import ReleaseRecord, read_record
from synthrec.synthesizer import Synthesizer
from tests.manifests import write_manifest
from tests.mutator import EDITS, VALUES, Edit, edited

QUICK, SLOW = 200, 100_000
Read = Callable[[Path], object]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with a synthetic log, its log's folder beside it."""
    folder = tmp_path_factory.mktemp("hostile")
    simulate(users=200, items=20, seed=5).write(folder, events_per_user=20)
    from synthrec import pipeline

    pipeline.fit(
        str(folder / "events.csv"),
        schema=Schema.load(folder / "synthrec.toml"),
        epsilon=8,
        delta=1e-4,
        out=folder / "release",
        model="moments",
        device="cpu",
        synthetic_users=30,
    )
    checks = (
        Check(
            topic="noise",
            name="items",
            asked="scale of 850 draws, in planned noise",
            statistic=1.0,
            low=0.9,
            high=1.1,
            passed=True,
        ),
        Check(
            topic="sensitivity",
            name="critic step, weights x100",
            asked="a move",
            statistic=0.5,
            low=-math.inf,
            high=1.0,
            passed=True,
        ),
    )
    pipeline.keep_mechanism(
        folder / "release",
        Conformance(
            synthrec_version=__version__,
            subject=SUBJECT,
            model="moments",
            epsilon=8,
            delta=1e-4,
            checks=checks,
            seconds=20.0,
        ),
    )
    return folder


def fuzz(path: Path, read: Read, *, cases: int) -> None:
    """Change the file, read it, put it back."""
    whole = path.read_bytes()

    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        derandomize=cases == QUICK,
        suppress_health_check=list(HealthCheck),
    )
    @given(edits=EDITS)
    def attempt(edits: list[Edit]) -> None:
        path.write_bytes(edited(whole, edits))
        try:
            read(path)
        except SynthrecError as error:
            assert str(error).isprintable() and error.rule and error.found and error.remedy

    try:
        attempt()
    finally:
        path.write_bytes(whole)


def configured(path: Path) -> None:
    """A whole configuration, and what is computed from it before any log is opened."""
    schema = Schema.load(path)
    schema.require_served()
    schema.require_declared()
    Catalogue.read(schema)


def tables(path: Path) -> object:
    words, catalogue = read_words(path.parent / "generator.json")
    record = read_record(path.parent / "release.json", kind=ReleaseRecord)
    return tables_of(path.parent, schema=words.declared, catalogue=catalogue, record=record)


def checks(path: Path) -> object:
    record, parts = mechanism_of(path.parent, words=None)
    return (
        parts
        if record is None
        else (*parts, *((check.found, check.allowed) for check in record.checks))
    )


READERS: dict[str, tuple[str, Read]] = {
    "manifest": ("release/share/manifest.json", lambda path: verify_manifest(path.parent)),
    "record": ("release/share/release.json", lambda path: read_record(path, kind=ReleaseRecord)),
    "mechanism": ("release/share/mechanism.json", checks),
    "audit record": (
        "release/share/release.json",
        lambda path: read_record(path, kind=AuditRecord),
    ),
    "words": ("release/share/generator.json", lambda path: Artifact.load(path.parent)),
    "tensors": ("release/share/generator.safetensors", lambda path: Artifact.load(path.parent)),
    "excerpt": (
        "release/share/ledger.jsonl",
        lambda path: excerpt_of(path.parent, record=None, words=None),
    ),
    "ledger": ("simulated-movie-ratings.ledger.jsonl", Ledger.read),
    "head": (
        "simulated-movie-ratings.ledger.jsonl.head",
        lambda path: Ledger.read(path.with_name("simulated-movie-ratings.ledger.jsonl")),
    ),
    "events": ("release/share/events.parquet", tables),
    "users": ("release/share/users.parquet", tables),
    "configuration": ("synthrec.toml", configured),
    "catalogue": ("items.csv", lambda path: configured(path.with_name("synthrec.toml"))),
    "origin": (
        "release/private/origin.json",
        lambda path: open_folder(path.parent.parent).origin(),
    ),
    "index": ("release/private/bounded/log.json", lambda path: EventLog.open(path.parent)),
    "offsets": ("release/private/bounded/offsets.npy", lambda path: EventLog.open(path.parent)),
    "items": ("release/private/bounded/item.npy", lambda path: EventLog.open(path.parent)),
}


@pytest.mark.parametrize("name", READERS)
def test_no_reader_fails_but_with_an_error_of_ours(made: Path, name: str) -> None:
    where, read = READERS[name]
    if (made / where).exists():
        fuzz(made / where, read, cases=QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_no_reader_fails_in_a_hundred_thousand_cases(made: Path, name: str) -> None:
    where, read = READERS[name]
    if (made / where).exists():
        fuzz(made / where, read, cases=SLOW)


COLUMN = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["ordinal", "datetime", "categorical", "numeric", "id", "text"]),
        "min": VALUES,
        "max": VALUES,
        "step": VALUES,
        "bins": VALUES,
        "decimals": VALUES,
        "scale": st.sampled_from(["linear", "log"]),
        "unit": st.sampled_from(["s", "iso"]),
        "zone": VALUES,
        "values": VALUES,
        "bounds": VALUES,
        "of": st.sampled_from(["user", "item"]),
        "negative": VALUES,
        "follows": VALUES,
        "role": VALUES,
    },
)


def declared(column: dict[str, object]) -> None:
    said = {
        "source": {"name": "s", "population": 100, "ledger": "l", "epsilon_cap": 9.0},
        "privacy": {"events_per_user": 9, "unit": "u"},
        "columns": {
            "u": {"role": "user"},
            "i": {"role": "item", "values": ["a", "b"]},
            "x": column,
        },
    }
    try:
        schema = Schema.parse(said)
        schema.require_served()
        plan_release(schema, epsilon=8, delta=1e-4, model="marginals")
    except SynthrecError:
        pass


@settings(
    max_examples=QUICK,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(column=COLUMN)
def test_no_declaration_of_a_column_fails_but_with_an_error_of_ours(
    column: dict[str, object],
) -> None:
    declared(column)


@pytest.mark.parametrize(
    "column",
    [
        {"type": "datetime", "unit": "s", "min": "2024-01-01", "max": "9999-12-31"},
        {
            "type": "datetime",
            "unit": "s",
            "min": "0001-01-01",
            "max": "2024-01-01",
            "zone": "Asia/Tokyo",
        },
        {
            "type": "datetime",
            "unit": "s",
            "min": "2024-01-01",
            "max": "2024-02-01",
            "zone": "../../../etc/passwd",
        },
        {"type": "ordinal", "min": 0, "max": 10**400, "step": 1},
        {"type": "ordinal", "min": 0.0, "max": 1e308, "step": 1e-308},
        {"type": "numeric", "min": 0, "max": 10**400, "bins": 3},
        {"type": "numeric", "min": -1e308, "max": 1e308, "scale": "log"},
        {"type": "numeric", "min": 0.0, "max": 1e300, "decimals": 9},
    ],
)
def test_numbers_and_dates_at_the_end_of_their_range_are_refused_or_served(
    column: dict[str, object],
) -> None:
    declared(column)


def test_a_number_of_thousands_of_digits_is_refused_in_toml() -> None:
    with pytest.raises(SynthrecError, match="thousands of digits"):
        Schema.parse("a = " + "9" * 5000)


def test_a_pipe_and_a_link_in_the_place_of_a_file_are_refused_at_once(
    made: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "release.json")
    with pytest.raises(SynthrecError):
        read_record(tmp_path / "release.json", kind=ReleaseRecord)
    (tmp_path / "generator.json").symlink_to(made / "release/share/generator.json")
    with pytest.raises(SynthrecError):
        read_words(tmp_path / "generator.json")


def test_a_shape_that_the_schema_does_not_ask_for_makes_no_array(
    made: Path, tmp_path: Path
) -> None:
    share = made / "release/share"
    (tmp_path / "generator.json").write_bytes((share / "generator.json").read_bytes())
    header = json.dumps(
        {
            "frame.features": {
                "dtype": "F64",
                "shape": [1 << 40, 1 << 20],
                "data_offsets": [0, 1 << 63],
            }
        }
    ).encode()
    (tmp_path / "generator.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(SynthrecError, match=r"safetensors must hold"):
        Artifact.load(tmp_path)
    (tmp_path / "generator.safetensors").write_bytes(b"\xff" * 8 + header)
    with pytest.raises(SynthrecError, match="header that is none"):
        Artifact.load(tmp_path)


def test_a_schema_that_names_a_folder_of_the_reader_is_refused(made: Path, tmp_path: Path) -> None:
    said = json.loads((made / "release/share/generator.json").read_text(encoding="utf-8"))
    said["schema"]["folder"] = "/"
    (tmp_path / "generator.json").write_text(json.dumps(said), encoding="utf-8")
    with pytest.raises(SynthrecError):
        read_words(tmp_path / "generator.json")


@pytest.mark.parametrize(
    ("noise", "count"), [(1e-300, 1), (2e-3, 1), (1.0, 10**30), (5e-324, 10**9), (1.0, 10**6)]
)
def test_an_event_that_would_exhaust_an_accountant_is_refused_before_it(
    made: Path, tmp_path: Path, noise: float, count: int
) -> None:
    import shutil

    share = Path(shutil.copytree(made / "release/share", tmp_path / "share"))
    (tmp_path / "l").unlink(missing_ok=True)
    entries = list(Ledger.read(made / "simulated-movie-ratings.ledger.jsonl").entries)
    first = entries[0].model_copy(
        update={
            "event": entries[0].event.model_copy(update={"noise_multiplier": noise, "count": count})
        }
    )
    sealed = [first.sealed(previous=first.previous, charged_utc=first.charged_utc)]
    for entry in entries[1:]:
        sealed.append(entry.sealed(previous=sealed[-1].hash, charged_utc=entry.charged_utc))
    (share / "ledger.jsonl").write_text(
        "".join(f"{entry.model_dump_json()}\n" for entry in sealed), encoding="utf-8"
    )
    write_manifest(share)
    checks = {check.name: check for check in verify_share(share)}
    if noise < 1e-3 or count > 10**6:  # no mechanism has such numbers
        assert checks["ledger.jsonl"].found == "no sealed entry as synthrec writes it"
    else:
        assert (
            checks["epsilon"].found == "entries that no accountant of this version computes"
            and not checks["epsilon"].passed
        )


def test_an_excerpt_that_is_no_text_is_refused_by_whoever_loads_the_release(
    made: Path, tmp_path: Path
) -> None:
    import shutil

    share = Path(shutil.copytree(made / "release/share", tmp_path / "share"))
    (share / "ledger.jsonl").write_bytes(b"\xff\xfe")
    write_manifest(share)
    with pytest.raises(SynthrecError, match="excerpt of the ledger"):
        Synthesizer.load(share)


def test_a_release_of_a_hostile_shape_still_loads_where_it_is_whole(made: Path) -> None:
    assert (
        Synthesizer.load(made / "release").sample(users=3, seed=1).events["user_id"].nunique() == 3
    )
    assert np.isfinite(Artifact.load(made / "release/share").estimates.activity).all()

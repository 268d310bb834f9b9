"""What a release says about itself: the claim and everything that it rests on, as typed JSON
(`release.json`).

Guarantees: every field is public or paid for by an entry of the ledger; the record leaves with the
release. Figures measured on the real log stand in `synthrec.audit.record.AuditRecord`, which does
not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError

from synthrec.audit.record import AttackBound, AuditRecord, Record
from synthrec.conformance.record import Conformance
from synthrec.errors import ReleaseError, printable
from synthrec.records import OfClaim, OfLedger, OfLooks, OfMeasurements, Public
from synthrec.storage import disk_errors, record_json, write_atomic

MAX_RECORD_BYTES = 1 << 24
Delta = Annotated[float, Field(gt=0, le=1)]
Cap = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Mechanism(Record):
    """One randomised function that saw the log, run `count` times with the same parameters."""

    name: str  # as in the ledger, for example "items"
    purpose: str  # for people: "how often each item is picked and how it is rated"
    kind: str  # "Gaussian", "discrete Gaussian", "Poisson-subsampled Gaussian" ...
    sensitivity: float  # most that one user moves the un-noised value, in `unit_of_noise`
    noise_std: float  # in `unit_of_noise`
    unit_of_noise: str  # "events", "users", "clip norms" ...
    noise_multiplier: float  # noise_std / sensitivity
    sampling_rate: float | None  # chance that a user takes part in one run; None: everybody does
    count: int
    extra_delta: float = 0.0  # delta that no accountant event holds, for example of a threshold


class DataColumn(Record):
    """One column of the tables that are shared, as declared."""

    table: Literal["events", "users"]
    name: str
    kind: str  # "user", "item", "rating", "time", "category", "number", "group of events"
    says: str  # the declared values, for people


class Faithful(Record):
    """How far the synthetic log is from one of the release's own noisy measurements:
    post-processing, public.
    """

    name: str  # "items", "activity", "ratings", "attribute gender" ...
    distance: float  # total variation, 0 to 1, to three decimals


class InternalRuns(Record):
    """Trainings on the real log whose outputs never leave `private/`; not in the release's sum, but
    listed.
    """

    count: int
    epsilon: float


class ReleaseRecord(Record):
    """release.json."""  # each field says where it comes from

    format_version: Public[Literal[1]] = 1
    release_id: Public[str]
    created_utc: Public[str]  # ISO 8601
    synthrec_version: Public[str]

    source_name: Public[str]
    source_public: Public[bool]  # the owner declares the log published
    population: Public[int]  # the owner's public figure
    unit: Public[str]  # the column that names a privacy unit
    neighbouring_relation: Public[str]  # "add or remove one user"
    events_per_user: Public[int]  # K
    audit_share: Public[float]  # share of users that no training saw, by keyed hash
    public_declarations: Public[tuple[str, ...]]  # what is public on the owner's word
    chosen_with_sight: Public[
        tuple[str, ...]
    ] = ()  # what was chosen by people who had seen the log, as far as the owner says; never empty
    raw_data_seen_by: Public[
        tuple[str, ...]
    ] = ()  # who saw the log itself, as far as the owner says; never empty
    columns: Public[tuple[DataColumn, ...]] = ()  # of the shared tables
    paid_declarations: OfLooks[
        tuple[str, ...]
    ] = ()  # what open columns ("dp") turned out to hold, paid for by this release

    model: Public[Literal["gan", "moments", "marginals"]]
    # "kept", or "set aside: " and why, by a rule on the generator alone; None without a game
    game: Public[str | None] = None
    training: Public[dict[str, float | int | str]]
    budget_share: Public[
        dict[str, float]
    ]  # mechanism name -> share of the budget (of sum 1/noise^2)
    mechanisms: Public[tuple[Mechanism, ...]]

    epsilon: OfClaim[float]  # this release, all mechanisms composed
    delta: Public[Delta]
    epsilon_cross_check: OfClaim[float]  # the second accountant
    sampler: Public[str] = ""  # who takes part in a run, and how that is drawn
    accountant: Public[str]
    cross_check_accountant: Public[str]
    profile: OfClaim[tuple[tuple[Delta, float], ...]]  # (delta, epsilon), delta falling
    bound: OfLedger[AttackBound]  # of the whole ledger: all releases of this source

    ledger_total: OfLedger[float]  # epsilon over all releases of this source, at `delta`
    releases_before: OfLedger[int]
    internal: OfLedger[InternalRuns]
    trials: OfLedger[int]
    epsilon_cap: Public[Cap]
    try_number: OfLedger[int]  # how many times `fit` ran on this source, this time included

    noise_source: Public[str]
    floating_point: Public[str]
    not_private: Public[bool] = False  # deterministic noise, for tests: epsilon is infinite

    synthetic_users: Public[int]
    seed_of_sampling: Public[int | None]
    faithful: OfMeasurements[
        tuple[Faithful, ...]
    ] = ()  # synthetic log against measurements; empty without a log
    versions: Public[dict[str, str]] = Field(default_factory=dict)
    limits: Public[tuple[str, ...]] = ()  # what is not guaranteed, whole sentences
    commands: Public[tuple[str, ...]] = ()  # that made this release


AnyRecord = TypeVar("AnyRecord", ReleaseRecord, AuditRecord, Conformance)


def write_record(record: Record | Conformance, *, path: Path) -> Path:
    """Write a record as indented JSON, beside its place and then renamed, so that no half file is
    taken for whole.
    """
    with disk_errors(
        f"{path.name} must be writable",
        remedy="Free space or choose another folder.",
        kind=ReleaseError,
    ):
        return write_atomic(path, record.model_dump_json(indent=2) + "\n")


def read_record(path: Path, *, kind: type[AnyRecord]) -> AnyRecord:
    """Read a record back; raises `ReleaseError` for a file that is missing or is no such record."""
    try:
        return kind.model_validate_json(record_json(path, most=MAX_RECORD_BYTES))
    except FileNotFoundError:
        found, remedy = (
            "no such file",
            "Name a release folder as `synthrec run` or `synthrec fit` made it.",
        )
    except OSError as error:
        found, remedy = error.strerror or type(error).__name__, "Make the release folder readable."
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = printable(".".join(str(part) for part in first["loc"])) or "the file as a whole"
        found = f"{where}: {first['type'].replace('_', ' ')}"
        remedy = "Restore the file from the release; it was altered or comes from another version."
    except ValueError as error:
        found, remedy = str(error), "Restore the file from the release; it was altered."
    raise ReleaseError(f"{path.name} must hold a {kind.__name__}", found=found, remedy=remedy)

"""What a release says about itself: the claim and everything that it rests on, as typed JSON
(`release.json`).

Guarantees: every field is public or paid for by an entry of the ledger; the record leaves with the
release. Figures measured on the real log stand in `synthrec.audit.record.AuditRecord`, which does
not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import ConfigDict, Field, ValidationError

from synthrec.audit.record import AttackBound, AuditRecord, Record
from synthrec.conformance.record import Conformance
from synthrec.errors import ReleaseError, printable
from synthrec.storage import disk_errors, record_json, write_atomic

LARGEST = 1 << 24
Delta = Annotated[float, Field(gt=0, le=1)]


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
    """release.json."""

    model_config = ConfigDict(ser_json_inf_nan="strings")

    format_version: Literal[1] = 1
    release_id: str
    created_utc: str  # ISO 8601
    synthrec_version: str

    source_name: str
    source_public: bool  # the owner declares the log published
    population: int  # the owner's public figure
    unit: str  # the column that names a privacy unit
    neighbouring_relation: str  # "add or remove one user"
    events_per_user: int  # K
    audit_share: float  # share of users that no training saw, by keyed hash
    public_declarations: tuple[str, ...]  # what is public on the owner's word
    chosen_with_sight: tuple[
        str, ...
    ] = ()  # what was chosen by people who had seen the log, as far as the owner says; never empty
    raw_data_seen_by: tuple[
        str, ...
    ] = ()  # who saw the log itself, as far as the owner says; never empty
    columns: tuple[DataColumn, ...] = ()  # of the shared tables
    paid_declarations: tuple[
        str, ...
    ] = ()  # what open columns ("dp") turned out to hold, paid for by this release

    model: Literal["gan", "moments", "marginals"]
    game: str | None = (
        # "kept", or "set aside: " and why, by a rule on the generator alone; None without a game
        None
    )
    training: dict[str, float | int | str]
    budget_share: dict[str, float]  # mechanism name -> share of the budget (of sum 1/noise^2)
    mechanisms: tuple[Mechanism, ...]

    epsilon: float  # this release, all mechanisms composed
    delta: Delta
    epsilon_cross_check: float  # the second accountant
    sampler: str = ""  # who takes part in a run, and how that is drawn
    accountant: str
    cross_check_accountant: str
    profile: tuple[tuple[Delta, float], ...]  # (delta, epsilon), delta falling
    bound: AttackBound  # of the whole ledger: all releases of this source

    ledger_total: float  # epsilon over all releases of this source, at `delta`
    releases_before: int
    internal: InternalRuns
    trials: int
    epsilon_cap: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    try_number: int  # how many times `fit` ran on this source, this time included

    noise_source: str
    floating_point: str
    not_private: bool = False  # deterministic noise, for tests: epsilon is infinite

    synthetic_users: int
    seed_of_sampling: int | None
    faithful: tuple[
        Faithful, ...
    ] = ()  # synthetic log against measurements; empty without a log, or from an earlier version
    versions: dict[str, str] = Field(default_factory=dict)
    limits: tuple[str, ...] = ()  # what is not guaranteed, whole sentences
    commands: tuple[str, ...] = ()  # that made this release


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
        return kind.model_validate_json(record_json(path, most=LARGEST))
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

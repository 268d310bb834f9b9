"""Every tensor and word that a generator's files may hold, and reading them as nothing else.

One list, made of what each measurement declares (`measurements.STATISTICS`), for reading
(`Artifact.load`) and for proving (`synthrec inspect`): a tensor that is not here is in no release.

Guarantees: a layout is a function of schema, plan, size of the catalogue and names of features;
nothing in it comes from the tensors. The header is compared with it before any array is made, so
memory is bounded by it; no byte of the file is outside header and arrays; every value keeps the
rule of its tensor. Reading runs no code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from synthrec.data.filters import FILTERS
from synthrec.data.open_domains import is_open
from synthrec.data.schema import Schema
from synthrec.errors import ReleaseError, printable
from synthrec.model.attribute_effects import Groups
from synthrec.model.item_features import LEARNT, MEASURED
from synthrec.model.measurements import measured_tensors
from synthrec.model.recipe import same_looks
from synthrec.model.statistic import TYPES, Known, Tensor
from synthrec.privacy.event import PublicRecord
from synthrec.privacy.plan import Plan
from synthrec.storage import plain_json, read_bounded

LARGEST_HEADER, LARGEST_FILE = 1 << 20, 1 << 29
SUM_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Difference:
    """Where a file is not as its layout says."""

    name: str
    found: str


def read_tensors(path: Path, *, layout: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """The arrays. Raises ReleaseError, which names the first difference; OSError for a file that
    cannot be read.
    """
    content = _content(path, layout=layout)
    for difference in _differences(content, layout=layout):
        raise ReleaseError(
            f"{path.name} must hold the tensors that its schema and plan ask for, and nothing else",
            found=f"{difference.name}: {difference.found}",
            remedy="Copy the release again from where it was made.",
        )
    return {name: _array(content, name, tensor).copy() for name, tensor in layout.items()}


def differences(path: Path, *, layout: Mapping[str, Tensor]) -> tuple[Difference, ...]:
    """All of them. Raises as `read_tensors` does for what is no such file at all."""
    return tuple(_differences(_content(path, layout=layout), layout=layout))


@dataclass(frozen=True)
class _Content:
    header: dict[str, Any]
    spare: bytes  # of the header, after its JSON
    buffer: memoryview


def _content(path: Path, *, layout: Mapping[str, Tensor]) -> _Content:
    size_bytes = sum(tensor.size_bytes for tensor in layout.values())
    if size_bytes > LARGEST_FILE:
        raise ReleaseError(
            f"{path.name} may hold at most {LARGEST_FILE:,} bytes",
            found=f"{size_bytes:,} asked for by generator.json",
            remedy="Use a smaller catalogue, or get the release again from its owner.",
        )
    content = memoryview(read_bounded(path, most=8 + 2 * LARGEST_HEADER + size_bytes))
    length = int.from_bytes(content[:8], "little")
    try:
        if len(content) < 8 or length > min(LARGEST_HEADER, len(content) - 8):
            raise ValueError
        text = bytes(content[8 : 8 + length])
        header = plain_json(text.rstrip(b" "))
        if not isinstance(header, dict):
            raise ValueError
    except ValueError:
        raise ReleaseError(
            f"{path.name} must be a safetensors file",
            found="a header that is none",
            remedy="Copy the release again from where it was made.",
        ) from None
    return _Content(
        header=header, spare=text[len(text.rstrip(b" ")) :], buffer=content[8 + length :]
    )


def _differences(content: _Content, *, layout: Mapping[str, Tensor]) -> Iterator[Difference]:
    header = content.header
    for name in header.keys() - layout.keys():
        yield Difference(printable(name), "a tensor that no release has")
    for name in layout.keys() - header.keys():
        yield Difference(name, "missing")
    known = [name for name in layout if name in header]
    wrong = [name for name in known if not _as_declared(header[name], layout[name])]
    yield from (
        Difference(name, "another type or shape, or no description of a tensor") for name in wrong
    )
    if (
        len(content.spare) >= 8
        or not (wrong or header.keys() ^ layout.keys())
        and not _covered(content)
    ):
        yield Difference("the file", "bytes that belong to no tensor")
    elif not wrong and len(known) == len(header):
        for name in known:
            values, (words, holds) = _array(content, name, layout[name]), _RULES[layout[name].holds]
            if not (np.isfinite(values).all() and holds(values, layout[name].below)):
                yield Difference(name, f"values that are not {words}")


def _as_declared(entry: Any, tensor: Tensor) -> bool:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        return False
    start = (
        entry["data_offsets"][0]
        if isinstance(entry["data_offsets"], list) and entry["data_offsets"]
        else None
    )
    return (
        entry["dtype"] == tensor.kind
        and entry["shape"] == list(tensor.shape)
        and type(start) is int
        and start >= 0
        and entry["data_offsets"] == [start, start + tensor.size_bytes]
    )


def _covered(content: _Content) -> bool:
    """Do the arrays lie one after the other and fill the file?"""
    end = 0
    for start, past in sorted(entry["data_offsets"] for entry in content.header.values()):
        if start != end:
            return False
        end = past
    return end == len(content.buffer)


def _array(content: _Content, name: str, tensor: Tensor) -> np.ndarray:
    start, past = content.header[name]["data_offsets"]
    if past > len(content.buffer):
        return np.full(1, np.nan)
    return np.frombuffer(content.buffer[start:past], dtype=TYPES[tensor.kind]).reshape(tensor.shape)


def _are_shares(values: np.ndarray, *, axis: int | None) -> bool:
    sums = values.sum(axis=axis)
    return not values.size or bool(
        (values >= 0).all() and (np.abs(sums - 1) <= SUM_TOLERANCE).all()
    )


# words, and whether finite values keep the rule; `below` is the tensor's
_RULES: dict[str, tuple[str, Callable[[np.ndarray, int], Any]]] = {
    "finite": ("finite", lambda values, below: True),
    "shares": ("shares that sum to 1", lambda values, below: _are_shares(values, axis=None)),
    "rows": ("rows of shares that sum to 1", lambda values, below: _are_shares(values, axis=-1)),
    "positive": ("finite and at least 0", lambda values, below: (values >= 0).all()),
    "rising": ("finite and rising", lambda values, below: (np.diff(values) >= 0).all()),
    "codes": (
        "codes of its domain",
        lambda values, below: ((values >= 0) & (values < below)).all(),
    ),
}


HIDDEN = 64  # of the generator's network
MAX_FEATURES = 10_000
Finite = Annotated[float, Field(allow_inf_nan=False)]
BEHAVIOUR = (
    "items",
    "ratings",
    "pairs",
    "tastes",
    "groups",
    "attributes",
    "activity",
)  # what calibration leans on

ORDER = (
    "frame.",
    "estimates.activity",
    "estimates.levels",
    "estimates.rating_shares",
    "tables.",
    "estimates.",
    "attribute.",
    "group.",
    "times.",
    "habits.",
    "generator.",
)


class Words(PublicRecord):
    """generator.json."""

    format_version: Literal[1]
    declared: Schema = Field(alias="schema")
    plan: Plan
    catalogue: str  # public item ids and attributes, as `Catalogue.to_json` writes them
    features: Annotated[tuple[str, ...], Field(max_length=MAX_FEATURES)]
    activity_edges: tuple[int, ...]
    attributes: tuple[str, ...]
    groups: tuple[str, ...]
    rating_unit: Annotated[Finite, Field(gt=0)]
    rating_noise: Annotated[Finite, Field(ge=0)]
    game: (
        str | None
    )  # "kept", or "set aside: " and why, by a rule on the generator alone; None without a game

    def known(self, *, items: int) -> Known:
        """What they declare of a catalogue of so many items."""
        return Known(self.declared, self.plan, items, self.features)


def disagreement(words: Words) -> str | None:
    """What the words say that neither schema nor plan does; None if they agree."""
    schema, plan = words.declared, words.plan
    names = {each.name for each in plan.measurements}
    needed = {"activity", "items", *(["attributes"] if schema.user_attributes else [])}
    sums = (*plan.openings, *plan.measurements)
    numbers = [
        plan.delta,
        *(number for each in sums for number in (each.sensitivity, each.noise_multiplier)),
    ]
    for wrong, where in (
        (
            (plan.population, plan.events_per_user)
            != (schema.source.population, schema.privacy.events_per_user),
            "plan",
        ),
        (
            not needed <= names
            or len(names) < len(plan.measurements)
            or (plan.training is None) != (plan.model != "gan"),
            "plan",
        ),
        (
            not all(math.isfinite(number) and number >= 0 for number in numbers)
            or math.isnan(plan.epsilon),
            "plan",
        ),
        (
            len(plan.openings) > 0 and not same_looks(schema, plan.openings),
            "plan",
        ),  # a baseline of an audit has asked for none
        (is_open(schema), "schema"),
        (words.activity_edges != words.known(items=0).activity_edges, "activity_edges"),
        (words.attributes != tuple(schema.user_attributes), "attributes"),
        (words.groups != (tuple(Groups.of(schema).sizes) if plan.has("groups") else ()), "groups"),
        (not _feature_names(words), "features"),
        (words.rating_unit != words.known(items=0).rating_unit, "rating_unit"),
        ((words.game is None) != (plan.training is None), "game"),
    ):
        if wrong:
            return where
    return None


def filterable_names(schema: Schema) -> tuple[str, ...]:
    """Attributes of the catalogue that a release carries: those that a sample's items can be chosen
    by.
    """
    return tuple(
        name for name, declared in schema.item_attributes.items() if isinstance(declared, FILTERS)
    )


def layout(words: Words, *, items: int) -> dict[str, Tensor]:
    """Name to what it must be: what each measurement says of its tensors, what post-processing
    makes of all, and the network.
    """
    known = words.known(items=items)
    paid_by, cuts = known.planned(*BEHAVIOUR), (max(len(known.levels) - 1, 0),)
    tables = {
        "tables.item_mean": Tensor("F64", (items,), "post-processing", paid_by),
        "tables.log_weight": Tensor("F64", (items,), "post-processing", paid_by),
        "tables.cuts": Tensor("F64", cuts, "post-processing", paid_by, holds="rising"),
    }
    tensors = tables | measured_tensors(known) | _network_layout(known)

    def rank(name: str) -> int:
        """Where `inspect` shows it; what ORDER does not name comes last."""
        return next((i for i, start in enumerate(ORDER) if name.startswith(start)), len(ORDER))

    return {name: tensors[name] for name in sorted(tensors, key=rank)}


def _feature_names(words: Words) -> bool:
    """Each feature is named after a declared attribute, or is one that every catalogue has."""
    schema = words.declared
    starts = tuple(f"{name} " for name in schema.item_attributes)
    known = [
        name in (*MEASURED, *schema.item_attributes)
        or LEARNT.fullmatch(name)
        or name.startswith(starts)
        for name in words.features
    ]
    return all(known) and len(set(words.features)) == len(known)


def _network_layout(known: Known) -> dict[str, Tensor]:
    """The network; without a game its weights are as they were drawn."""
    size, conditions = 2 * len(known.feature_names) + 1, known.conditions
    tastes, groups = known.planned("tastes"), known.planned("groups")
    game = ("game",) if known.plan.training else ()
    shapes = {
        "residual.0.weight": (HIDDEN, size + conditions),
        "residual.0.bias": (HIDDEN,),
        "residual.2.weight": (HIDDEN, HIDDEN),
        "residual.2.bias": (HIDDEN,),
        "residual.4.weight": (size, HIDDEN),
        "residual.4.bias": (size,),
    }
    tensors = {
        "factor": Tensor("F32", (size, size), "paid" if tastes else "public", tastes),
        "scale": Tensor("F32", (size,), "public"),
        "gain": Tensor("F32", (size,), "post-processing", known.planned(*BEHAVIOUR)),
        "effect": Tensor("F32", (size, conditions), "paid" if groups else "public", groups),
        **{
            name: Tensor("F32", shape, "paid" if game else "public", game)
            for name, shape in shapes.items()
        },
    }
    return {f"generator.{name}": tensor for name, tensor in tensors.items()}

"""A trained generator as files that may leave: weights and tables in safetensors, words in JSON.

Guarantees: holds weights, schema, plan and paid measurements; no rows, no real user ids, no
optimizer or RNG state. Reading runs no code (rule: no rows in the generator), and makes no array
before its name, type and shape are known to be what schema and plan ask for (`layout`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from safetensors import SafetensorError
from safetensors.numpy import save_file

from synthrec.data.catalogue import Catalogue
from synthrec.data.schema import Schema
from synthrec.errors import ReleaseError, SchemaError
from synthrec.model.attribute_effects import GroupDifferences, Groups
from synthrec.model.event_types import EventTypeTables
from synthrec.model.format import (
    Words,
    disagreement,
    filterable_names,
    layout,
    rating_unit,
    read_tensors,
)
from synthrec.model.generator import Generator
from synthrec.model.item_choice import ItemTables
from synthrec.model.item_features import MEASURED, catalogue_features
from synthrec.model.postprocessing import Estimates
from synthrec.model.statistic import activity_edges
from synthrec.model.tastes import TasteFrame
from synthrec.model.time_stats import TimeTables
from synthrec.privacy.plan import Plan
from synthrec.storage import parts, plain_json, read_bounded

FORMAT_VERSION = 1  # no release of synthrec has written another layout: the first one fixes this
TENSORS, WORDS = "generator.safetensors", "generator.json"
LARGEST_WORDS, MAX_OF_WORDS = 1 << 26, 1 << 19


@dataclass(frozen=True)
class Artifact:
    """All that sampling needs."""

    schema: Schema
    plan: Plan
    catalogue: Catalogue  # of its attributes only those that items can be chosen by
    estimates: Estimates
    tables: ItemTables
    generator: Generator
    game: str | None = None  # "kept", or "set aside: " and why; None without a game

    def save(self, folder: Path) -> None:
        """Write the two files into an existing folder."""
        estimates, tables, times = self.estimates, self.tables, self.estimates.times
        words = _written(
            schema=self.schema,
            plan=self.plan,
            catalogue=self.catalogue,
            features=estimates.feature_names,
            rating_noise=tables.rating_noise,
            game=self.game,
        )
        arrays = {
            f"generator.{name}": tensor.detach().cpu().numpy()
            for name, tensor in self.generator.state_dict().items()
        }
        arrays |= {
            f"frame.{name}": getattr(estimates.frame, name)
            for name in ("features", "item_mean", "popularity")
        }
        arrays |= {
            f"estimates.{name}": getattr(estimates, name)
            for name in ("activity", "levels", "rating_shares")
        }
        arrays |= {
            f"tables.{name}": getattr(tables, name) for name in ("item_mean", "log_weight", "cuts")
        }
        arrays |= {
            f"attribute.{place}": shares
            for place, shares in enumerate(estimates.attributes.values())
        }
        arrays |= {
            f"estimates.{name}": array
            for name in ("moment", "taste_variance")
            if (array := getattr(estimates, name)) is not None
        }
        if (groups := estimates.groups) is not None:
            arrays |= {
                f"group.{place}": groups.values[name] for place, name in enumerate(groups.values)
            }
            arrays["group.columns"] = groups.columns
        if estimates.habits is not None:
            arrays |= {
                f"habits.{name}": array for name, array in estimates.habits.to_arrays().items()
            }
        if times is not None:
            arrays |= {f"times.{name}": getattr(times, name) for name in TimeTables.names()}
        try:
            save_file(
                {name: np.ascontiguousarray(array) for name, array in arrays.items()},
                folder / TENSORS,
            )
            (folder / TENSORS).chmod(
                0o644
            )  # safetensors makes it for its owner only; it is there to be shared
            (folder / WORDS).write_bytes(words)
        except (OSError, SafetensorError):
            raise ReleaseError(
                "the generator must be writable",
                found="a failed write",
                remedy="Free space on the output disk.",
            ) from None

    @classmethod
    def load(cls, folder: Path) -> Artifact:
        """Read the two files. Raises ReleaseError if they are missing, altered or of another
        version, SchemaError for what it declares.
        """
        try:
            words, catalogue = read_words(folder / WORDS)
            arrays = read_tensors(folder / TENSORS, layout=layout(words, items=catalogue.size))
        except (OSError, ValueError, OverflowError):
            raise _damaged() from None
        frame = TasteFrame(
            rating_unit=words.rating_unit,
            rated=len(arrays["estimates.levels"]) > 0,
            **_part(arrays, "frame"),
        )
        estimates = Estimates(
            frame=frame,
            feature_names=words.features,
            activity_edges=words.activity_edges,
            attributes={
                name: arrays[f"attribute.{place}"] for place, name in enumerate(words.attributes)
            },
            times=TimeTables(**_part(arrays, "times")) if "times.start" in arrays else None,
            groups=_groups(words.groups, arrays),
            habits=EventTypeTables.from_arrays(habits)
            if (habits := _part(arrays, "habits"))
            else None,
            **({"moment": None, "taste_variance": None} | _part(arrays, "estimates")),
        )
        tables = ItemTables(
            features=frame.features,
            levels=estimates.levels,
            rating_noise=words.rating_noise,
            **_part(arrays, "tables"),
        )
        return cls(
            schema=words.declared,
            plan=words.plan,
            catalogue=catalogue,
            estimates=estimates,
            tables=tables,
            generator=_generator(_part(arrays, "generator")),
            game=words.game,
        )


def _written(
    *,
    schema: Schema,
    plan: Plan,
    catalogue: Catalogue,
    features: tuple[str, ...],
    rating_noise: float,
    game: str | None,
) -> bytes:
    """generator.json. What it says besides follows from schema and plan, and `layout.disagreement`
    holds it to that.
    """
    return json.dumps(
        {
            "format_version": FORMAT_VERSION,
            "schema": json.loads(schema.model_dump_json()),
            "plan": json.loads(plan.model_dump_json()),
            "catalogue": catalogue.to_json(),
            "features": list(features),
            "activity_edges": list(activity_edges(plan.events_per_user)),
            "attributes": list(schema.user_attributes),
            "groups": list(Groups.of(schema).sizes) if plan.has("groups") else [],
            "rating_unit": rating_unit(schema),
            "rating_noise": rating_noise,
            "game": game,
        },
        indent=1,
    ).encode()


def require_readable(schema: Schema, *, plan: Plan, catalogue: Catalogue) -> None:
    """Raise SchemaError if what a training by this plan will write could not be read again: asked
    before anything is charged.
    """
    features = (*catalogue_features(catalogue, schema).names, *MEASURED)
    content = _written(
        schema=schema.shared(),
        plan=plan,
        catalogue=filterable(catalogue, schema),
        features=features,
        rating_noise=0.0,
        game=None if plan.training is None else "kept",
    )
    try:
        if len(content) > LARGEST_WORDS:
            raise _damaged()
        parse_words(content)
    except (ReleaseError, SchemaError):
        raise SchemaError(
            "whoever receives a release must be able to read it",
            found="a catalogue or a declaration too large for that",
            remedy="Declare fewer attributes of items, or list fewer items; nothing was charged.",
        ) from None


def read_words(path: Path) -> tuple[Words, Catalogue]:
    """generator.json, whose parts agree with each other. Raises as `parse_words` does, and OSError."""
    _, words, catalogue = parse_words(read_bounded(path, most=LARGEST_WORDS))
    return words, catalogue


def parse_words(content: bytes) -> tuple[dict[str, Any], Words, Catalogue]:
    """What generator.json says, as JSON and as what it means. Raises ReleaseError, SchemaError for
    a declaration that is not served.
    """
    try:
        said = plain_json(content)
        if (
            not isinstance(said, dict)
            or not isinstance(said.get("schema"), dict)
            or "folder" in said["schema"]
        ):
            raise ValueError  # a folder would be a place on the reader's disk
        if parts(json.dumps(said | {"catalogue": ""}).encode()) > MAX_OF_WORDS:
            raise ValueError  # pydantic takes a kilobyte to say of each what is wrong
        if said.get("format_version") != FORMAT_VERSION:
            raise ReleaseError(
                "generator.json must be of a format that this version reads",
                found="another format_version, or none",
                remedy="Use the version of synthrec that made it.",
            )
        words = Words.model_validate(said)
        words.declared.require_served()
        where = disagreement(words)
    except (ValueError, OverflowError):
        raise _damaged() from None
    if where is not None:
        raise ReleaseError(
            "the parts of generator.json must agree",
            found=f"{where} that neither schema nor plan asks for",
            remedy="Copy the release again from where it was made.",
        )
    catalogue = Catalogue.from_json(words.catalogue)
    if tuple(catalogue.attributes.column_names) != filterable_names(words.declared):
        raise ReleaseError(
            "generator.json must hold the catalogue of its schema",
            found="other attributes of items",
            remedy="Copy the release again from where it was made.",
        )
    return said, words, catalogue


def _damaged() -> ReleaseError:
    return ReleaseError(
        "a release must hold a whole generator",
        found=f"{WORDS} or {TENSORS} missing or altered",
        remedy="Copy the release again from where it was made.",
    )


def filterable(catalogue: Catalogue, schema: Schema) -> Catalogue:
    """A catalogue without titles, texts and embeddings: ids, and the public attributes that a
    sample's items can be chosen by.
    """
    columns = {name: catalogue.attributes[name] for name in filterable_names(schema)}
    return Catalogue(ids=catalogue.ids, attributes=pa.table(columns))


def described_by(schema: Schema, catalogue: Catalogue) -> Schema:
    """The schema without the item attributes that a filtered catalogue no longer has."""
    kept = {
        name: declared
        for name, declared in schema.item_attributes.items()
        if name in catalogue.attributes.column_names
    }
    return schema.model_copy(update={"items": schema.items.model_copy(update={"attributes": kept})})


def _groups(names: tuple[str, ...], arrays: dict[str, np.ndarray]) -> GroupDifferences | None:
    if not names:
        return None
    return GroupDifferences(
        columns=arrays["group.columns"],
        values={name: arrays[f"group.{place}"] for place, name in enumerate(names)},
    )


def _part(arrays: dict[str, np.ndarray], room: str) -> dict[str, np.ndarray]:
    return {
        name.removeprefix(room + "."): array
        for name, array in arrays.items()
        if name.startswith(room + ".")
    }


def _generator(state: dict[str, np.ndarray]) -> Generator:
    first = state["residual.0.weight"]
    size = len(state["scale"])
    generator = Generator(
        factor=torch.zeros(size, size),
        scale=torch.zeros(size),
        conditions=first.shape[1] - size,
        hidden=first.shape[0],
    )
    generator.load_state_dict({name: torch.as_tensor(array) for name, array in state.items()})
    return generator

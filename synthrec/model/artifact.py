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
from safetensors import SafetensorError
from safetensors.numpy import save_file

from synthrec.data.catalogue import Catalogue
from synthrec.data.schema import Schema
from synthrec.errors import ReleaseError, SchemaError
from synthrec.model.attribute_effects import Groups
from synthrec.model.format import Words, disagreement, filterable_names, layout, read_tensors
from synthrec.model.generator import Generator
from synthrec.model.item_choice import ItemTables
from synthrec.model.item_features import MEASURED, catalogue_features
from synthrec.model.measurements import Estimates
from synthrec.model.statistic import Known, part
from synthrec.privacy.plan import Plan
from synthrec.storage import parts, plain_json, read_bounded

FORMAT_VERSION = 1  # no release of synthrec has written another layout: the first one fixes this
TABLES = ("item_mean", "log_weight", "cuts")
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
        estimates, tables = self.estimates, self.tables
        words = _written(
            estimates,
            catalogue=self.catalogue,
            schema=self.schema,
            rating_noise=tables.rating_noise,
            game=self.game,
        )
        arrays = {
            **estimates.arrays,
            **{f"tables.{name}": getattr(tables, name) for name in TABLES},
            **{f"generator.{name}": array for name, array in self.generator.arrays().items()},
        }
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
        estimates = Estimates.of(words.known(items=catalogue.size), arrays)
        tables = ItemTables(
            features=estimates.frame.features,
            levels=estimates.levels,
            rating_noise=words.rating_noise,
            **{name: arrays[f"tables.{name}"] for name in TABLES},
        )
        return cls(
            schema=words.declared,
            plan=words.plan,
            catalogue=catalogue,
            estimates=estimates,
            tables=tables,
            generator=Generator.of(part(arrays, "generator.")),
            game=words.game,
        )


def _written(
    known: Known, *, catalogue: Catalogue, schema: Schema, rating_noise: float, game: str | None
) -> bytes:
    """generator.json. What it says besides follows from schema and plan, and `layout.disagreement`
    holds it to that.
    """
    return json.dumps(
        {
            "format_version": FORMAT_VERSION,
            "schema": json.loads(schema.model_dump_json()),
            "plan": json.loads(known.plan.model_dump_json()),
            "catalogue": catalogue.to_json(),
            "features": list(known.feature_names),
            "activity_edges": list(known.activity_edges),
            "attributes": list(known.sizes),
            "groups": list(Groups.of(schema).sizes) if known.plan.has("groups") else [],
            "rating_unit": known.rating_unit,
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
        Known(schema, plan, catalogue.size, features),
        catalogue=filterable(catalogue, schema),
        schema=schema.shared(),
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
        fields = plain_json(content)
        if (
            not isinstance(fields, dict)
            or not isinstance(fields.get("schema"), dict)
            or "folder" in fields["schema"]
        ):
            raise ValueError  # a folder would be a place on the reader's disk
        if parts(json.dumps(fields | {"catalogue": ""}).encode()) > MAX_OF_WORDS:
            raise ValueError  # pydantic takes a kilobyte to say of each what is wrong
        if fields.get("format_version") != FORMAT_VERSION:
            raise ReleaseError(
                "generator.json must be of a format that this version reads",
                found="another format_version, or none",
                remedy="Use the version of synthrec that made it.",
            )
        words = Words.model_validate(fields)
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
    return fields, words, catalogue


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
    attributes = {
        name: declared
        for name, declared in schema.item_attributes.items()
        if name in catalogue.attributes.column_names
    }
    return schema.model_copy(
        update={"items": schema.items.model_copy(update={"attributes": attributes})}
    )

"""The public list of items: their ids in the order in which the model knows them, and what
describes them.

Public and frozen: it is a file that the owner would publish, so it may be printed, embedded in a
release and joined by a partner. It is complete before the log is opened; no item enters it because
somebody used it (rule: nothing unpaid).
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.json as pajson
import pyarrow.parquet as pq

from synthrec.data.columns import Embedding, ItemNumber
from synthrec.data.files import file_errors, open_file
from synthrec.data.identifiers import are_whole_numbers, canonical, number_of
from synthrec.data.schema import Schema
from synthrec.errors import DataError, ReleaseError
from synthrec.storage import plain_json

FORMAT_VERSION = 1


@dataclass(frozen=True, eq=False)
class Catalogue:
    """V items.

    Shapes:
        ids int64[V] or string[V]: as the owner writes them; the place in it is `EventLog.item`.
        attributes V rows: text as in the file, numbers as float64, embeddings as lists of float64.
    """

    ids: pa.Array
    attributes: pa.Table = field(default_factory=lambda: pa.table({}))

    def __repr__(self) -> str:
        return f"Catalogue({self.size} items; {', '.join(self.attributes.column_names) or 'no attributes'})"

    @classmethod
    def read(cls, schema: Schema) -> Catalogue:
        """Read the file, or take the list, that the item column names. Raises DataError."""
        if (values := schema.item_column.values) is not None:
            whole = all(isinstance(value, int) for value in values)
            return _checked(
                cls(pa.array(values if whole else [str(value) for value in values])),
                where="values of the item column",
            )
        path = schema.catalogue_path
        if path is None:
            raise DataError(
                "items must be listed by a catalogue or by values",
                found='vocabulary = "dp"',
                remedy="Fit it, which pays for the list, or name a catalogue file.",
            )
        if not os.path.exists(path):  # of a name that is too long, too
            raise DataError(
                f"[columns] {schema.item}: catalogue must name a file, from the configuration's folder",
                found=f"{path.name}: No such file",
                remedy="Correct the path.",
            )
        file = open_file(path)
        file.require([schema.item, *schema.item_attributes])
        table = read_public_table(path)
        ids = table[schema.item].combine_chunks()
        columns = {
            name: _typed(table[name].combine_chunks(), attribute, path=path)
            for name, attribute in schema.item_attributes.items()
        }
        return _checked(cls(_ids(ids), pa.table(columns)), where=path.name)

    @property
    def size(self) -> int:
        """Number of items."""
        return len(self.ids)

    @cached_property
    def keys(self) -> pa.Array:
        """string[V]: the ids in the spelling that the log's are compared with."""
        return canonical(self.ids)

    def to_json(self) -> str:
        """Text that a release can carry."""
        return json.dumps(
            {
                "format_version": FORMAT_VERSION,
                "ids": self.ids.to_pylist(),
                "attributes": {
                    name: [
                        None if isinstance(cell, float) and not math.isfinite(cell) else cell
                        for cell in self.attributes[name].to_pylist()
                    ]
                    for name in self.attributes.column_names
                },
                "types": {
                    name: "number"
                    if pa.types.is_floating(kind)
                    else "embedding"
                    if pa.types.is_list(kind)
                    else "text"
                    for name, kind in zip(
                        self.attributes.column_names, self.attributes.schema.types, strict=True
                    )
                },
            },
            ensure_ascii=False,
            allow_nan=False,
        )

    @classmethod
    def from_json(cls, text: str) -> Catalogue:
        """The reverse of `to_json`. Raises ReleaseError if the text is anything else."""
        try:
            record = plain_json(text.encode())
            if record["format_version"] != FORMAT_VERSION:
                raise ValueError
            types = {
                "text": pa.string(),
                "number": pa.float64(),
                "embedding": pa.list_(pa.float64()),
            }
            ids = pa.array(record["ids"])
            columns = {
                str(name): pa.array(values, types[record["types"][name]])
                for name, values in record["attributes"].items()
            }
            if any(len(column) != len(ids) for column in columns.values()):
                raise ValueError
            return _checked(cls(ids, pa.table(columns)), where="the release's catalogue")
        except (
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            RecursionError,
            OverflowError,
            pa.ArrowException,
            DataError,
        ):
            raise ReleaseError(
                "a release must hold the catalogue that it was made with",
                found="one that cannot be read",
                remedy="Copy the release again from its owner.",
            ) from None


def read_public_table(path: Path) -> pa.Table:
    """A public table, columns of a CSV file as text. Raises DataError without quoting the file."""
    file = open_file(path)
    with file_errors(path):
        if file.format == "parquet":
            return pq.read_table(file.path, partitioning=None)
        if file.format == "json":
            return pajson.read_json(file.path)
        return pacsv.read_csv(
            file.path,
            parse_options=pacsv.ParseOptions(delimiter=file.delimiter, newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(file.columns, pa.string()),
                strings_can_be_null=True,
                null_values=[""],
            ),
        )


def _ids(column: pa.Array) -> pa.Array:
    if pa.types.is_integer(column.type):
        return column.cast(pa.int64())
    keys = canonical(column)
    if pa.types.is_floating(column.type) or (keys.null_count == 0 and are_whole_numbers(keys)):
        return keys.cast(pa.int64()) if are_whole_numbers(keys) else keys
    return pc.if_else(pc.is_null(keys), None, column.cast(pa.string()))


def _checked(catalogue: Catalogue, *, where: str) -> Catalogue:
    if catalogue.size < 2:
        raise DataError(
            f"{where} must list at least two items, or there is nothing to choose",
            found="one" if catalogue.size else "none",
            remedy="Give the catalogue's rows.",
        )
    if catalogue.keys.null_count:
        raise DataError(
            f"{where} must give every item an id",
            found="an item without one",
            remedy="Remove or complete it.",
        )
    if len(pc.unique(catalogue.keys)) < catalogue.size:
        raise DataError(
            f"{where} must list every item once",
            found="duplicate ids",
            remedy="Remove the duplicates.",
        )
    return catalogue


def _typed(column: pa.Array, attribute: Any, *, path: Path) -> pa.Array:
    if isinstance(attribute, ItemNumber):
        low = -math.inf if attribute.min is None else attribute.min
        high = math.inf if attribute.max is None else attribute.max
        cells = [number_of(cell) for cell in column.to_pylist()]
        numbers = [cell if cell is not None and low <= cell <= high else None for cell in cells]
        if numbers and not any(number is not None for number in numbers):
            raise DataError(
                f"[items] {attribute.name} must hold numbers",
                found=f"none in {path.name}",
                remedy="Declare another type, or correct the column.",
            )
        return pa.array(numbers, pa.float64())
    if isinstance(attribute, Embedding):
        vectors = [_vector(value) for value in column.to_pylist()]
        if len({len(vector) for vector in vectors if vector is not None}) != 1:
            raise DataError(
                f"[items] {attribute.name} must hold vectors of one length",
                found=f"none, or several lengths, in {path.name}",
                remedy="Write each vector as numbers between brackets, or as a Parquet list.",
            )
        return pa.array(vectors, pa.list_(pa.float64()))
    if pa.types.is_nested(column.type):
        raise DataError(
            f"[items] {attribute.name} must hold one value a cell",
            found=f"lists in {path.name}",
            remedy="Join them with a separator, or declare an embedding.",
        )
    return column.cast(pa.string())


def _vector(value: Any) -> list[float] | None:
    if value is None:
        return None
    parts: list[Any] = (
        value if isinstance(value, list) else str(value).strip("[]() ").replace(",", " ").split()
    )
    numbers = [number for part in parts if (number := number_of(part)) is not None]
    return numbers if len(numbers) == len(parts) else None

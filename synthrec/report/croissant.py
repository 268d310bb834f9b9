"""`croissant.json`: the shared tables in the words of MLCommons Croissant 1.1, for tools that load
data sets by them.

Guarantees: written from release.json, the manifest and the footers of the synthetic tables, all of
which are public: neither an audit nor a log is asked, and no row is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from synthrec.errors import ReleaseError
from synthrec.report.manifest import Manifest, read_manifest
from synthrec.report.record import ReleaseRecord
from synthrec.report.sentences import claim

CROISSANT = "croissant.json"
TABLES = ("events", "users")
VERSION = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")
TERMS = (  # of the specification's own context, by the prefix "cr"
    "arrayShape citeAs column containedIn equivalentProperty extract field fileProperty fileObject fileSet format includes "
    "isArray isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated replace samplingRate "
    "separator source subField transform"
)
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "description": {"@container": "@language"},
    "name": {"@container": "@language"},
} | {term: f"cr:{term}" for term in TERMS.split()}
TYPES: tuple[tuple[Callable[[pa.DataType], bool], str], ...] = (
    (pa.types.is_integer, "cr:Int64"),
    (pa.types.is_floating, "cr:Float64"),
    (pa.types.is_boolean, "sc:Boolean"),
    (pa.types.is_temporal, "sc:DateTime"),
)


def croissant(share: Path, release: ReleaseRecord) -> str | None:
    """The text; None while share/ holds no synthetic log. Raises ReleaseError."""
    manifest = read_manifest(share)
    listed = {file.path for file in manifest.files}
    if "events.parquet" not in listed:
        return None
    tables = [name for name in TABLES if f"{name}.parquet" in listed]
    described = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": list(VERSION),
        "name": f"{release.source_name}: synthetic users",
        "description": " ".join(claim(release)[:1]),
        "version": "1.0.0",
        "datePublished": release.created_utc[:10],
        "keywords": ["synthetic data", "differential privacy", "recommender systems"],
        "isLiveDataset": False,
        "rai:dataUseCases": ["development and comparison of recommenders"],
        "rai:dataLimitations": list(release.limits),
        "rai:personalSensitiveInformation": ["None: nobody in these files is a person."],
        "distribution": [_file(f"{name}.parquet", manifest) for name in tables],
        "recordSet": [_records(share, name, tables=tables, release=release) for name in tables],
    }
    return json.dumps(described, indent=2, ensure_ascii=False) + "\n"


def _file(name: str, manifest: Manifest) -> dict[str, Any]:
    listed = next(file for file in manifest.files if file.path == name)
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{listed.size_bytes} B",
        "encodingFormat": "application/x-parquet",
        "sha256": listed.sha256,
    }


def _records(
    share: Path, name: str, *, tables: list[str], release: ReleaseRecord
) -> dict[str, Any]:
    try:
        with pq.ParquetFile(share / f"{name}.parquet") as table:
            rows, held = table.metadata.num_rows, table.schema_arrow
    except (OSError, ValueError, OverflowError, MemoryError, pa.ArrowException):
        raise ReleaseError(
            f"{name}.parquet must be a table", found="another file", remedy="Fetch it again."
        ) from None
    said = {column.name: column for column in release.columns if column.table == name}
    user = next((column.name for column in release.columns if column.kind == "user"), None)
    fields = []
    for column in held:
        known = said.get(column.name)
        field: dict[str, Any] = {
            "@type": "cr:Field",
            "@id": _id(name, column.name),
            "name": column.name,
            "description": "" if known is None else f"{known.kind}: {known.says}",
            "dataType": next((word for is_, word in TYPES if is_(column.type)), "sc:Text"),
            "source": {
                "fileObject": {"@id": f"{name}.parquet"},
                "extract": {"column": column.name},
            },
        }
        if name == "events" and column.name == user and "users" in tables:
            field["references"] = {"field": {"@id": _id("users", column.name)}}
        fields.append(field)
    records: dict[str, Any] = {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"{rows:,} rows: one for each {'event' if name == 'events' else 'user'}.",
        "field": fields,
    }
    return records | ({"key": {"@id": _id(name, user)}} if user and name == "users" else {})


def _id(table: str, column: str) -> str:
    """Croissant's ids hold no blanks and the like: such a name is written as its bytes."""
    odd = re.search(r"[^A-Za-z0-9_.-]", column)
    return f"{table}/{column.encode().hex() if odd else column}"

"""JSON Schemas of the records, versioned with them and published in the package: generated from the
types, never edited.

`python -m synthrec.report.schemas` writes them anew; a test sees that they are up to date.
"""

from __future__ import annotations

import json

from pydantic import BaseModel

from synthrec.audit.record import AuditRecord
from synthrec.conformance.record import Conformance
from synthrec.report.manifest import Manifest
from synthrec.report.record import ReleaseRecord
from synthrec.report.texts import Deployment

RECORDS: dict[str, type[BaseModel]] = {
    "release": ReleaseRecord,
    "audit": AuditRecord,
    "mechanism": Conformance,
    "manifest": Manifest,
    "deployment": Deployment,
}


def schema_texts() -> dict[str, str]:
    """File name -> schema of the file by that name without `.schema`."""
    return {
        f"{name}.schema.json": json.dumps(
            kind.model_json_schema(mode="serialization"), indent=1, sort_keys=True
        )
        + "\n"
        for name, kind in RECORDS.items()
    }

"""`python -m synthrec.report.schemas`: write the schemas beside this file."""

from __future__ import annotations

from pathlib import Path

from synthrec.report.schemas import write_schemas

write_schemas(Path(__file__).parent)

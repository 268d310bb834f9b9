"""`python -m synthrec.report.schemas`: write the schemas beside this file."""

from __future__ import annotations

from pathlib import Path

from synthrec.report.schemas import schema_texts

for name, text in schema_texts().items():
    (Path(__file__).parent / name).write_text(text, encoding="utf-8")

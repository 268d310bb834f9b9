"""statement.txt, data_card.md and deployment.json: byte for byte what the public records render to;
none at all is fine.
"""

from __future__ import annotations

from pathlib import Path

from synthrec.conformance.record import Conformance
from synthrec.errors import SynthrecError
from synthrec.inspection.findings import Part
from synthrec.report.record import ReleaseRecord
from synthrec.report.texts import CARD, DEPLOYMENT, STATEMENT, shared_texts
from synthrec.storage import read_bounded

TEXTS = (STATEMENT, CARD, DEPLOYMENT)
MAX_TEXT_BYTES = 1 << 22


def texts_of(
    share: Path, *, record: ReleaseRecord | None, mechanism: Conformance | None
) -> list[Part]:
    """A line for each of them that is there."""
    if record is None:
        return []
    rendered = shared_texts(record, mechanism)
    return [
        Part(name, "every byte", "", "from the records", _wrong(share / name, rendered[name]))
        for name in TEXTS
        if (share / name).exists() or (share / name).is_symlink()
    ]


def _wrong(path: Path, text: str) -> str | None:
    try:
        same = read_bounded(path, most=MAX_TEXT_BYTES) == text.encode()
    except (SynthrecError, OSError):
        return "not readable"
    return (
        None
        if same
        else "not what release.json and mechanism.json render to; run `synthrec report`"
    )

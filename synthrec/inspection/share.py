"""`share/` as a whole: which files there are, then each of them by its own list.

Guarantees: needs share/ alone and no log; whatever a file holds, the answer is an inspection or one
of our errors. What it cannot see:
whether a value of the right name, type and shape was noised before it was written; the ledger, its
chain and the code say that.
"""

from __future__ import annotations

from pathlib import Path

from synthrec.errors import ReleaseError, printable
from synthrec.inspection.findings import InspectedPart, Inspection, first_wrong
from synthrec.inspection.generator import tensors_of, words_of
from synthrec.inspection.mechanism import MECHANISM, mechanism_of
from synthrec.inspection.page import TEXTS, page_of, texts_of
from synthrec.inspection.record import excerpt_of, record_of
from synthrec.inspection.tables import tables_of
from synthrec.report.manifest import MANIFEST, verify_manifest

NEEDED = ("generator.json", "generator.safetensors", "ledger.jsonl", "release.json", MANIFEST)
ALLOWED = (*NEEDED, "events.parquet", "users.parquet", "report.html", MECHANISM, *TEXTS)


def inspect_share(share: Path) -> Inspection:
    """Every file, tensor, field and column of a release. Raises ReleaseError for what is no
    release.
    """
    if share.is_symlink() or not share.is_dir():
        raise ReleaseError(
            "a release must be a folder with share/ in it",
            found="none at the path given",
            remedy="Name a folder that `synthrec fit` or `synthrec run` made.",
        )
    files = files_of(share)
    if any(part.problem for part in files):
        return Inspection(parts=tuple(files))  # nothing is opened beside what should not be there
    words, catalogue, parts = words_of(share)
    record, fields = record_of(share, words=words)
    entries, lines, notes = excerpt_of(share, record=record, words=words)
    parts += fields + lines
    if words is not None and catalogue is not None:
        charged = {entry.mechanism for entry in entries}
        parts += tensors_of(share, words=words, catalogue=catalogue, ledger=charged)
        if record is not None:
            parts += tables_of(share, schema=words.declared, catalogue=catalogue, record=record)
    mechanism, checks = mechanism_of(share, words=words)
    page, remarks = page_of(share, record=record, mechanism=mechanism)
    texts = texts_of(share, record=record, mechanism=mechanism)
    return Inspection(
        parts=(*files, *parts, *checks, *page, *texts),
        notes=(*notes, *remarks),
        record=record,
        entries=entries,
        mechanism=mechanism,
    )


def files_of(share: Path) -> list[InspectedPart]:
    """Which files there are, and whether the manifest holds; nothing else of them is read."""
    present = {path.name: path for path in share.iterdir()}
    problems = {name: _odd(path) for name, path in sorted(present.items())}
    problems |= {name: "missing" for name in NEEDED if name not in present}
    parts = [
        InspectedPart(printable(name), "the file", "", "public", problem)
        for name, problem in problems.items()
    ]
    if any(problems.values()):
        return parts
    problem = None
    try:
        verify_manifest(share)
    except ReleaseError as error:
        problem = str(error)
    return [*parts, InspectedPart(MANIFEST, "hashes", "", "public", problem)]


def _odd(path: Path) -> str | None:
    return first_wrong(
        (path.is_symlink() or not path.is_file(), "no regular file"),
        (path.name not in ALLOWED, "a file that no release has"),
    )

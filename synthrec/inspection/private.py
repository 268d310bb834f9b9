"""The deeper check, where private/ is at hand: nothing of the bounded log stands in share/, neither
as bytes nor as a person.

Its answer is about the real log and PRIVATE: it may decide nothing but "do not release". Users of
few events may coincide with a synthetic one by chance, so only whoever has MIN_EVENTS events or
more, all of them equal, counts as copied.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from synthrec.data.eventlog import EventLog
from synthrec.data.reader import read_log
from synthrec.data.schema import Users
from synthrec.errors import ReleaseError
from synthrec.inspection.findings import InspectedPart
from synthrec.model.artifact import WORDS, read_words
from synthrec.release import Folder
from synthrec.storage import disk_errors, read_bounded

MIN_EVENTS = 5  # events of a user
WINDOW, WINDOWS = 256, 64  # bytes of an array that are looked for, and at how many places
TELLING = 48  # bytes that a window compresses to at least: one that says less may occur by chance
PIECE = 1 << 24  # bytes of a shared file that are held at a time


def compare_with_private(folder: Folder) -> tuple[InspectedPart, ...]:
    """Synthetic users against bounded ones, and bytes of private arrays and key against shared
    files.
    """
    parts = [_bytes_found(folder)]
    if folder.events.exists():
        parts.append(_people_found(folder))
    return tuple(parts)


def _people_found(folder: Folder) -> InspectedPart:
    words, catalogue = read_words(folder.share / WORDS)
    schema = words.declared.model_copy(update={"users": Users()})
    with tempfile.TemporaryDirectory(
        prefix="synthrec-"
    ) as spill:  # what is spilled is synthetic; the release may be read-only
        synthetic = read_log(
            folder.events, schema, catalogue, spill=Path(spill), events_per_user=None
        )
        found = _people(synthetic) & _people(EventLog.open(folder.bounded))
    return InspectedPart(
        "events.parquet",
        "users of the bounded log",
        "",
        "none",
        "a user who is copied event by event" if found else None,
    )


def _people(log: EventLog) -> set[bytes]:
    """Each user's events in a fixed order; those of fewer than MIN_EVENTS are left out. Basket
    numbers follow the order: not compared.
    """
    columns = [np.asarray(log.item, dtype=np.float64)]
    columns += [
        np.asarray(column, dtype=np.float64)
        for column in (log.rating, log.time)
        if column is not None
    ]
    table = np.column_stack(
        [
            *columns,
            *(
                np.asarray(codes, dtype=np.float64)
                for codes in log.marks.values()
                if codes.dtype == np.int16
            ),
        ]
    )
    bounds = zip(log.offsets[:-1].tolist(), log.offsets[1:].tolist(), strict=True)
    return {
        rows[np.lexsort(rows.T)].tobytes()
        for start, past in bounds
        if past - start >= MIN_EVENTS
        for rows in (table[start:past],)
    }


def _bytes_found(folder: Folder) -> InspectedPart:
    windows = list(_windows(folder))
    for path in sorted(path for path in folder.share.iterdir() if path.is_file()):
        if any(window in piece for piece in _pieces(path) for window in windows):
            return InspectedPart(
                path.name,
                "bytes of private/",
                "",
                "none",
                "bytes of the bounded log, or of the roles key",
            )
    return InspectedPart("share/", "bytes of private/", "", "none")


def _pieces(path: Path) -> Iterator[bytes]:
    """The file's bytes, each piece with the end of the one before. Raises ReleaseError."""
    remedy, end = "Get the release again from its owner.", b""
    with (
        disk_errors("share/ must hold files", name=path.name, remedy=remedy, kind=ReleaseError),
        open(path, "rb", opener=_no_links) as stream,
    ):
        while piece := stream.read(PIECE):
            yield end + piece
            end = (end + piece)[1 - WINDOW :]


def _no_links(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _windows(folder: Folder) -> Iterator[bytes]:
    if folder.roles_key.exists():
        key = read_bounded(folder.roles_key, most=1 << 16)
        yield from (key, key.hex().encode())
    for array in EventLog.open(folder.bounded).columns().values():
        width = max(1, WINDOW // array.itemsize)
        for place in np.unique(np.linspace(0, max(0, len(array) - width), WINDOWS).astype(int)):
            window = array[place : place + width].tobytes()
            if len(zlib.compress(window)) >= TELLING:
                yield window

"""The deeper check, where private/ is at hand: nothing of the bounded log stands in share/, neither
as bytes nor as a person.

Its answer is about the real log and PRIVATE: it may decide nothing but "do not release". Users of
few events may coincide with a synthetic one by chance, so only whoever has MIN_EVENTS events or
more, all of them equal, counts as copied.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from synthrec.data.eventlog import EventLog
from synthrec.data.reader import read_log
from synthrec.data.schema import Users
from synthrec.inspection.findings import InspectedPart
from synthrec.model.artifact import WORDS, read_words
from synthrec.release import Folder
from synthrec.storage import read_bounded

MIN_EVENTS = 5  # events of a user
WINDOW, WINDOWS = 256, 64  # bytes of an array that are looked for, and at how many places
TELLING = 48  # bytes that a window compresses to at least: one that says less may occur by chance
MAX_FILE_BYTES = 1 << 32


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
    shared = {
        path.name: read_bounded(path, most=MAX_FILE_BYTES)
        for path in sorted(folder.share.iterdir())
        if path.is_file()
    }
    for window in _windows(folder):
        for name, content in shared.items():
            if window in content:
                return InspectedPart(
                    name,
                    "bytes of private/",
                    "",
                    "none",
                    "bytes of the bounded log, or of the roles key",
                )
    return InspectedPart("share/", "bytes of private/", "", "none")


def _windows(folder: Folder) -> Iterator[bytes]:
    if folder.roles_key.exists():
        key = read_bounded(folder.roles_key, most=1 << 16)
        yield from (key, key.hex().encode())
    for array in EventLog.open(folder.bounded).columns().values():
        content = array.tobytes()
        places = (
            np.linspace(0, max(0, len(content) - WINDOW), WINDOWS).astype(int)
            // array.itemsize
            * array.itemsize
        )
        for place in np.unique(places):
            window = content[place : place + WINDOW]
            if len(zlib.compress(window)) >= TELLING:
                yield window

"""A log as columns, grouped by user: what training, sampling and the audit all read.

A private holder: it has no public count and a `repr` without values. The same class holds the
bounded log of the members, an unbounded real log and a synthetic log, so that one reader and one
set of statistics serve them all.

Fill the columns of an `EventLog` batch by batch, in memory or in files that stay mapped.

Guarantees: `store` gets the same bytes as memory would; a half-written store has no `log.json`,
cannot be opened, and is removed when writing it fails.
"""

from __future__ import annotations

import json
import os
import shutil
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from synthrec.errors import DataError, ReleaseError
from synthrec.storage import as_its_folder, plain_json, read_bounded, write_atomic

FORMAT_VERSION = 1
LARGEST_INDEX = 1 << 24
BLOCK_USERS = 1024
_HEADER_ERRORS = (
    SyntaxError,
    tokenize.TokenError,
    RecursionError,
    MemoryError,
)  # numpy on an array's header that is none


@dataclass(frozen=True, repr=False, eq=False)
class EventLog:
    """Events of B users, user after user; within a user by time if there is one.

    Shapes:
        offsets int64[B + 1]: user b owns events offsets[b] to offsets[b + 1]. item int32[N]: row of
        the item in the catalogue. rating float32[N] or None: on the declared scale. time int64[N]
        or None: seconds since 1970-01-01 UTC. marks name -> int16[N] (int32 for baskets): what an
        event says besides, as a code in the declared domain, whose size means "other or missing";
        of a basket its number within the user. attributes name -> int16[B]: code in the declared
        domain; the domain's size means "other or missing". role int8[B] or None: see `roles.Role`.
    """

    offsets: np.ndarray
    item: np.ndarray
    rating: np.ndarray | None = None
    time: np.ndarray | None = None
    attributes: Mapping[str, np.ndarray] = field(default_factory=dict)
    role: np.ndarray | None = None
    marks: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __repr__(self) -> str:
        return "EventLog(private)"

    @property
    def users(self) -> int:
        """B. Private, like everything here."""
        return len(self.offsets) - 1

    @property
    def activity(self) -> np.ndarray:
        """int64[B]: events of each user."""
        return np.diff(self.offsets)

    def user_of_event(self) -> np.ndarray:
        """int32[N]: which user did each event."""
        return np.repeat(np.arange(self.users, dtype=np.int32), self.activity)

    def users_with(self, *roles: int) -> EventLog:
        """The users who have one of some roles. A log without roles has none to ask for."""
        assert self.role is not None, "read the log with a role key"
        return self.select(np.flatnonzero(np.isin(self.role, roles)))

    def select(self, users: np.ndarray) -> EventLog:
        """The users at `users`, in that order; a user named twice comes twice.

        Shapes:
            users int[S] -> S users.
        """
        users = np.asarray(users, dtype=np.int64)
        starts, counts = self.offsets[users], self.offsets[users + 1] - self.offsets[users]
        offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        events = np.arange(offsets[-1], dtype=np.int64) + np.repeat(starts - offsets[:-1], counts)
        return EventLog(
            offsets=offsets,
            item=self.item[events],
            rating=None if self.rating is None else self.rating[events],
            time=None if self.time is None else self.time[events],
            attributes={name: codes[users] for name, codes in self.attributes.items()},
            role=None if self.role is None else self.role[users],
            marks={name: codes[events] for name, codes in self.marks.items()},
        )

    def blocks(self, *, users: int = BLOCK_USERS) -> Iterator[EventLog]:
        """All users, each whole in one block; a log of nobody is one block of nobody."""
        everybody = self.users
        for start in range(0, max(1, everybody), users):
            yield self.select(np.arange(start, min(start + users, everybody)))

    def keep(self, kept: np.ndarray) -> EventLog:
        """The events where `kept` is true, with the same users in the same order, also those left
        with none.

        Shapes:
            kept bool[N].
        """
        before = np.concatenate(([0], np.cumsum(kept)))
        return EventLog(
            offsets=before[self.offsets].astype(np.int64),
            item=np.asarray(self.item)[kept],
            rating=None if self.rating is None else np.asarray(self.rating)[kept],
            time=None if self.time is None else np.asarray(self.time)[kept],
            attributes=self.attributes,
            role=self.role,
            marks={name: np.asarray(codes)[kept] for name, codes in self.marks.items()},
        )

    @classmethod
    def concat(cls, logs: Sequence[EventLog]) -> EventLog:
        """Users of all logs, one log after the other. What only some of them have is left out."""
        assert logs, "nothing to join"
        counts = np.concatenate([log.activity for log in logs])

        def joined(name: str) -> np.ndarray | None:
            parts = [getattr(log, name) for log in logs]
            return None if any(part is None for part in parts) else np.concatenate(parts)

        item = joined("item")
        assert item is not None
        shared = [
            name for name in logs[0].attributes if all(name in log.attributes for log in logs)
        ]
        marked = [name for name in logs[0].marks if all(name in log.marks for log in logs)]
        return cls(
            offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
            item=item,
            rating=joined("rating"),
            time=joined("time"),
            attributes={
                name: np.concatenate([log.attributes[name] for log in logs]) for name in shared
            },
            role=joined("role"),
            marks={name: np.concatenate([log.marks[name] for log in logs]) for name in marked},
        )

    def save(self, folder: Path) -> None:
        """Write the columns as `.npy` files into a folder that is made for them."""
        folder.mkdir(parents=True, mode=0o700)
        for name, column in self._columns().items():
            save_array(folder / f"{name}.npy", column)
        self.save_index(folder, attributes=tuple(self.attributes), marks=tuple(self.marks))

    @staticmethod
    def save_index(folder: Path, *, attributes: Sequence[str], marks: Sequence[str] = ()) -> None:
        """Write down which attribute and which mark is which file: their names may be no file
        names.
        """
        index = {
            "format_version": FORMAT_VERSION,
            "attributes": list(attributes),
            "marks": list(marks),
        }
        write_atomic(folder / "log.json", json.dumps(index))

    @classmethod
    def open(cls, folder: Path) -> EventLog:
        """Map a saved log into memory; columns are read as they are used. Raises DataError."""
        try:
            index = plain_json(read_bounded(folder / "log.json", most=LARGEST_INDEX))
            if index["format_version"] != FORMAT_VERSION:
                raise ValueError
            optional: dict[str, Any] = {
                name: _mapped(folder, name)
                for name in ("rating", "time", "role")
                if (folder / f"{name}.npy").exists()
            }
            attributes = {
                str(name): _mapped(folder, f"attribute_{place}")
                for place, name in enumerate(index["attributes"])
            }
            marks = {
                str(name): _mapped(folder, f"mark_{place}")
                for place, name in enumerate(index["marks"])
            }
            log = cls(
                offsets=_mapped(folder, "offsets"),
                item=_mapped(folder, "item"),
                attributes=attributes,
                marks=marks,
                **optional,
            )
            log._require_whole()
            return log
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            EOFError,
            OverflowError,
            ReleaseError,
            *_HEADER_ERRORS,
        ):
            raise DataError(
                "a bounded log must be the folder that synthrec wrote",
                found="missing or damaged files",
                remedy="Read the log again.",
            ) from None

    def _require_whole(self) -> None:
        """Raise ValueError unless every column has a number for each event, or for each user."""
        events = [
            self.item,
            *(
                column
                for column in (self.rating, self.time, *self.marks.values())
                if column is not None
            ),
        ]
        users = [*self.attributes.values(), *([] if self.role is None else [self.role])]
        lengths = (
            {column.shape for column in events},
            {column.shape for column in users} | {(self.users,)},
        )
        kinds = {column.dtype.kind for column in (self.offsets, *events, *users)}
        if (
            any(len(length) > 1 for length in lengths)
            or not kinds <= set("if")
            or self.offsets.ndim != 1
            or self.offsets.dtype.kind != "i"
        ):
            raise ValueError
        if self.offsets[0] != 0 or self.offsets[-1] != len(self.item) or (self.activity < 0).any():
            raise ValueError

    def _columns(self) -> dict[str, np.ndarray]:
        columns = {
            name: getattr(self, name) for name in ("offsets", "item", "rating", "time", "role")
        }
        columns |= {
            f"attribute_{place}": codes for place, codes in enumerate(self.attributes.values())
        }
        columns |= {f"mark_{place}": codes for place, codes in enumerate(self.marks.values())}
        return {name: column for name, column in columns.items() if column is not None}


def save_array(path: Path, column: np.ndarray) -> None:
    """One column as its file."""
    with open(path, "wb", opener=as_its_folder) as stream:
        np.save(stream, column, allow_pickle=False)


def _mapped(folder: Path, name: str) -> np.ndarray:
    path = folder / f"{name}.npy"
    if path.is_symlink():
        raise ValueError("an array must lie in the folder itself")
    column: np.ndarray = (
        np.load(path, allow_pickle=False)
        if _is_empty(path)
        else np.load(path, mmap_mode="r", allow_pickle=False)
    )
    return column


def _is_empty(path: Path) -> bool:
    with path.open("rb") as stream:
        version = np.lib.format.read_magic(stream)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        return 0 in read(stream)[0]


class EventWriter:
    """Columns of a known length, written in order."""

    def __init__(
        self,
        counts: np.ndarray,
        *,
        store: Path | None,
        rating: bool,
        time: bool,
        marks: Mapping[str, np.dtype] | None = None,
    ) -> None:
        self._store, self._written = store, 0
        if store is not None:
            store.mkdir(parents=True, mode=0o700)
        try:
            self._allocate(counts, rating=rating, time=time, marks=marks or {})
        except BaseException:
            self._remove()
            raise

    def _allocate(
        self, counts: np.ndarray, *, rating: bool, time: bool, marks: Mapping[str, np.dtype]
    ) -> None:
        self._offsets = self._column("offsets", np.dtype(np.int64), len(counts) + 1)
        self._offsets[:] = np.concatenate(([0], np.cumsum(counts)))
        total = int(self._offsets[-1])
        self._item = self._column("item", np.dtype(np.int32), total)
        self._rating = self._column("rating", np.dtype(np.float32), total) if rating else None
        self._time = self._column("time", np.dtype(np.int64), total) if time else None
        self._marks = {
            name: self._column(f"mark_{place}", kind, total)
            for place, (name, kind) in enumerate(marks.items())
        }

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._remove()

    def append(
        self,
        *,
        item: pa.Array,
        rating: pa.Array,
        time: pa.Array,
        marks: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """The next rows; what the log has not is ignored."""
        rows = slice(self._written, self._written + len(item))
        self._item[rows] = item.to_numpy(zero_copy_only=False)
        if self._rating is not None:
            self._rating[rows] = rating.to_numpy(zero_copy_only=False)
        if self._time is not None:
            self._time[rows] = time.to_numpy(zero_copy_only=False)
        for name, codes in (marks or {}).items():
            self._marks[name][rows] = codes
        self._written = rows.stop

    def finish(self, *, attributes: Mapping[str, np.ndarray], role: np.ndarray | None) -> EventLog:
        """The whole log; from the store, if there is one."""
        assert self._written == len(self._item), "every event is written once"
        if self._store is None:
            return EventLog(
                offsets=self._offsets,
                item=self._item,
                rating=self._rating,
                time=self._time,
                attributes=dict(attributes),
                role=role,
                marks=self._marks,
            )
        for place, codes in enumerate(attributes.values()):
            save_array(self._store / f"attribute_{place}.npy", codes)
        if role is not None:
            save_array(self._store / "role.npy", role)
        for column in (self._offsets, self._item, self._rating, self._time, *self._marks.values()):
            if isinstance(column, np.memmap):
                column.flush()
        EventLog.save_index(self._store, attributes=tuple(attributes), marks=tuple(self._marks))
        return EventLog.open(self._store)

    def _column(self, name: str, kind: np.dtype, length: int) -> np.ndarray:
        if self._store is None:
            return np.empty(length, dtype=kind)
        path = self._store / f"{name}.npy"
        save_array(path, np.empty(0, dtype=kind))
        if length == 0:
            return np.empty(0, dtype=kind)
        column = np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=(length,))
        with path.open(
            "r+b"
        ) as stream:  # a full disk must say so now: writing to the map would kill the process
            os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)
        return column

    def _remove(self) -> None:
        if self._store is not None:
            shutil.rmtree(self._store, ignore_errors=True)

"""A log as columns, grouped by user: what training, sampling and the audit all read; and the writer
that fills them batch by batch, in memory or in files that stay mapped.

A private holder: it has no public count and a `repr` without values. The same class holds the
bounded log of the members, an unbounded real log and a synthetic log, so that one reader and one
set of statistics serve them all.

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
from typing import Any

import numpy as np
import pyarrow as pa

from synthrec.errors import DataError, ReleaseError
from synthrec.storage import as_its_folder, plain_json, read_bounded, write_atomic

FORMAT_VERSION = 1
MAX_INDEX_BYTES = 1 << 24
BLOCK_USERS = 1024
# numpy on an array's header that is none
_HEADER_ERRORS = (SyntaxError, tokenize.TokenError, RecursionError, MemoryError)


def exact(name: str) -> str:
    """Under which a number itself stands, beside its bin."""
    return f"{name}\0exact"


def is_exact(name: str) -> bool:
    """Is this such a name?"""
    return name.endswith("\0exact")


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
        for start in range(0, max(1, self.users), users):
            yield self.select(np.arange(start, min(start + users, self.users)))

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

        def joined(name: str) -> Any:
            parts = [getattr(log, name) for log in logs]
            return None if any(part is None for part in parts) else np.concatenate(parts)

        shared = [
            name for name in logs[0].attributes if all(name in log.attributes for log in logs)
        ]
        marked = [name for name in logs[0].marks if all(name in log.marks for log in logs)]
        return cls(
            offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
            item=joined("item"),
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
        for name, column in self.columns().items():
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
            index = plain_json(read_bounded(folder / "log.json", most=MAX_INDEX_BYTES))
            if index["format_version"] != FORMAT_VERSION:
                raise ValueError
            optional: dict[str, Any] = {
                name: _mapped(folder, name)
                for name in ("rating", "time", "role")
                if (folder / f"{name}.npy").exists()
            }
            log = cls(
                offsets=_mapped(folder, "offsets"),
                item=_mapped(folder, "item"),
                attributes={
                    str(name): _mapped(folder, f"attribute_{place}")
                    for place, name in enumerate(index["attributes"])
                },
                marks={
                    str(name): _mapped(folder, f"mark_{place}")
                    for place, name in enumerate(index["marks"])
                },
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
        optional = (self.rating, self.time, *self.marks.values())
        events = [self.item, *(column for column in optional if column is not None)]
        users = [*self.attributes.values(), *([] if self.role is None else [self.role])]
        if (
            len({column.shape for column in events}) > 1
            or {column.shape for column in users} - {(self.users,)}
            or not {column.dtype.kind for column in (*events, *users)} <= set("if")
            or self.offsets.ndim != 1
            or self.offsets.dtype.kind != "i"
            or self.offsets[0] != 0
            or self.offsets[-1] != len(self.item)
            or (self.activity < 0).any()
        ):
            raise ValueError

    def columns(self) -> dict[str, np.ndarray]:
        """Every array, by the name of its file."""
        columns = {
            **{name: getattr(self, name) for name in ("offsets", "item", "rating", "time", "role")},
            **{f"attribute_{place}": codes for place, codes in enumerate(self.attributes.values())},
            **{f"mark_{place}": codes for place, codes in enumerate(self.marks.values())},
        }
        return {name: column for name, column in columns.items() if column is not None}


def save_array(path: Path, column: np.ndarray) -> None:
    """One column as its file."""
    with open(path, "wb", opener=as_its_folder) as stream:
        np.save(stream, column, allow_pickle=False)


def _mapped(folder: Path, name: str) -> np.ndarray:
    path = folder / f"{name}.npy"
    if path.is_symlink():
        raise ValueError("an array must lie in the folder itself")
    return np.lib.format.open_memmap(path, mode="r")


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
        self._store, self._written, self._marks = store, 0, tuple(marks or ())
        offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        kinds: dict[str, Any] = {"item": np.int32}
        kinds |= {"rating": np.float32} if rating else {}
        kinds |= {"time": np.int64} if time else {}
        kinds |= {f"mark_{place}": kind for place, kind in enumerate((marks or {}).values())}
        if store is not None:
            store.mkdir(parents=True, mode=0o700)
        try:
            self._offsets = self._column("offsets", np.int64, len(offsets))
            self._offsets[:] = offsets
            self._columns = {
                name: self._column(name, kind, int(offsets[-1])) for name, kind in kinds.items()
            }
        except BaseException:
            self._remove()
            raise

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
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
        cells = {f"mark_{place}": (marks or {})[name] for place, name in enumerate(self._marks)}
        for name, column in (("item", item), ("rating", rating), ("time", time)):
            if name in self._columns:
                cells[name] = column.to_numpy(zero_copy_only=False)
        for name, values in cells.items():
            self._columns[name][rows] = values
        self._written = rows.stop

    def finish(self, *, attributes: Mapping[str, np.ndarray], role: np.ndarray | None) -> EventLog:
        """The whole log; from the store, if there is one."""
        assert self._written == len(self._columns["item"]), "every event is written once"
        if self._store is None:
            return EventLog(
                offsets=self._offsets,
                item=self._columns["item"],
                rating=self._columns.get("rating"),
                time=self._columns.get("time"),
                attributes=dict(attributes),
                role=role,
                marks={
                    name: self._columns[f"mark_{place}"] for place, name in enumerate(self._marks)
                },
            )
        for place, codes in enumerate(attributes.values()):
            save_array(self._store / f"attribute_{place}.npy", codes)
        if role is not None:
            save_array(self._store / "role.npy", role)
        for column in (self._offsets, *self._columns.values()):
            column.flush()
        EventLog.save_index(self._store, attributes=tuple(attributes), marks=self._marks)
        return EventLog.open(self._store)

    def _column(self, name: str, kind: Any, length: int) -> Any:
        if self._store is None:
            return np.empty(length, dtype=kind)
        path = self._store / f"{name}.npy"
        save_array(path, np.empty(0, dtype=kind))
        column = np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=(length,))
        # a full disk must say so now: writing to the map would kill the process
        with path.open("r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)
        return column

    def _remove(self) -> None:
        if self._store is not None:
            shutil.rmtree(self._store, ignore_errors=True)

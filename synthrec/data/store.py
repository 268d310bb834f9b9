"""Fill the columns of an `EventLog` batch by batch, in memory or in files that stay mapped.

Guarantees: `store` gets the same bytes as memory would; a half-written store has no `log.json`, cannot be opened, and is removed
when writing it fails.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa

from synthrec.data.eventlog import EventLog, save_array


class EventWriter:
    """Columns of a known length, written in order."""

    def __init__(self, counts: np.ndarray, *, store: Path | None, rating: bool, time: bool,
                 marks: Mapping[str, np.dtype] | None = None) -> None:
        self._store, self._written = store, 0
        if store is not None:
            store.mkdir(parents=True, mode=0o700)
        try:
            self._allocate(counts, rating=rating, time=time, marks=marks or {})
        except BaseException:
            self._remove()
            raise

    def _allocate(self, counts: np.ndarray, *, rating: bool, time: bool, marks: Mapping[str, np.dtype]) -> None:
        self._offsets = self._column("offsets", np.dtype(np.int64), len(counts) + 1)
        self._offsets[:] = np.concatenate(([0], np.cumsum(counts)))
        total = int(self._offsets[-1])
        self._item = self._column("item", np.dtype(np.int32), total)
        self._rating = self._column("rating", np.dtype(np.float32), total) if rating else None
        self._time = self._column("time", np.dtype(np.int64), total) if time else None
        self._marks = {name: self._column(f"mark_{place}", kind, total) for place, (name, kind) in enumerate(marks.items())}

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None:
            self._remove()

    def append(self, *, item: pa.Array, rating: pa.Array, time: pa.Array, marks: Mapping[str, np.ndarray] | None = None) -> None:
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
            return EventLog(offsets=self._offsets, item=self._item, rating=self._rating, time=self._time,
                            attributes=dict(attributes), role=role, marks=self._marks)
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
        with path.open("r+b") as stream:        # a full disk must say so now: writing to the map would kill the process
            os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)
        return column

    def _remove(self) -> None:
        if self._store is not None:
            shutil.rmtree(self._store, ignore_errors=True)

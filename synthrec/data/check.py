"""What the operator may know about their own log: exact counts per rule, to correct a
configuration. PRIVATE.

Guarantees: used by `synthrec check` alone; it feeds nothing, writes nothing but temporary files
below `spill`, and every line it renders says that it is private (rule: two channels). The figures
are exact, so they must not leave with a release.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthrec.data import bounding, reader
from synthrec.data.catalogue import Catalogue
from synthrec.data.open_domains import widened
from synthrec.data.schema import Schema
from synthrec.progress import Progress

MARK = "PRIVATE"
BOUNDS = (10, 20, 50, 100, 150, 200, 300, 500)
SHARE_TO_KEEP = 0.8  # K is suggested as the least of BOUNDS that keeps this share of events
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)


@dataclass(frozen=True, repr=False)
class Diagnostics:
    """Exact figures of one log; a private holder.

    Attributes:
        dropped: rows per reason; a row counts for the first reason that holds.
        remedies: reason, or user attribute -> the line of the configuration that decides it.
        kept_at: K -> share of the usable events that K keeps.
        activity: quantile -> events of that user.
        other: user attribute -> users whose value is missing or not declared.
        opted_out: ids on the list of opt-outs, and how many of them the log has; None without one.
    """

    rows: int
    users: int
    usable_events: int
    usable_users: int
    dropped: dict[str, int]
    remedies: dict[str, str]
    repeated: int
    kind: str
    items_used: int
    catalogue_items: int
    kept_at: dict[int, float]
    events_per_user: int
    suggested_events_per_user: int
    activity: dict[float, int]
    ratings: dict[str, int]
    other: dict[str, int]
    population: int
    opted_out: tuple[int, int] | None

    def __repr__(self) -> str:
        return "Diagnostics(private)"

    def lines(self) -> list[str]:
        """For the operator's screen; each line carries the mark."""
        opted_out = (
            ()
            if self.opted_out is None
            else (
                f"opted out: {self.opted_out[1]:,} of {self.opted_out[0]:,} listed ids stand in the log; "
                "no other line counts these people",
            )
        )
        activity = (
            f"{quantile:.0%} have up to {events:,}" for quantile, events in self.activity.items()
        )
        lines = (
            f"rows {self.rows:,}; users {self.users:,} (declared population {self.population:,})",
            *opted_out,
            *(
                f"dropped, {reason}: {_part(count, self.rows)}{self._remedy(reason, count)}"
                for reason, count in self.dropped.items()
            ),
            f"dropped, same user and item{self.kind} again: {_part(self.repeated, self.rows)}",
            f"usable: {_part(self.usable_events, self.rows)} of {self.usable_users:,} users",
            f"items used: {_part(self.items_used, self.catalogue_items)} of the catalogue",
            f"events of a user: {', '.join(activity)}",
            *(
                f"events_per_user = {bound}: keeps {share:.1%} of the events"
                + (" (as configured)" if bound == self.events_per_user else "")
                for bound, share in sorted(self.kept_at.items())
            ),
            f"events_per_user = {self.suggested_events_per_user} would be the least of these that keeps {SHARE_TO_KEEP:.0%}; "
            "a K chosen from this figure was chosen with sight of the log, and its choice is not covered by epsilon",
            *(
                f"rating {level}: {_part(count, self.usable_events)}"
                for level, count in self.ratings.items()
            ),
            *(
                f"user attribute {name}, missing or not declared: {_part(count, self.usable_users)}"
                f"{self._remedy(name, count)}"
                for name, count in self.other.items()
            ),
        )
        return [f"{MARK}  {line}" for line in lines]

    def _remedy(self, reason: str, count: int) -> str:
        return f"; {self.remedies[reason]}" if count and reason in self.remedies else ""


def diagnose(
    log: Any,
    schema: Schema,
    catalogue: Catalogue | None,
    *,
    spill: Path,
    exclude_users: Path | None = None,
    progress: Progress = Progress(),
) -> Diagnostics:
    """Count, exactly, what each rule does to a log; open columns ("dp") as if everything were
    inside.

    Raises:
        DataError: as `reader.read_log` does.
    """
    schema = widened(schema)
    with reader.judged_rows(
        log, schema, catalogue, spill=spill, exclude_users=exclude_users, progress=progress
    ) as con:
        reader.require_usable(con, schema)
        reader.bound_rows(con, schema, events_per_user=None)
        dropped = _dropped(con, schema)
        rows, users = _one(con, "SELECT count(*), count(DISTINCT unit) FROM judged")
        events, items = _one(con, "SELECT count(*), count(DISTINCT item) FROM bounded")
        bounds = sorted({*BOUNDS, schema.privacy.events_per_user})
        events_at = _one(
            con,
            f"SELECT {', '.join(f'coalesce(sum(least(events, {bound})), 0)' for bound in bounds)} FROM units",
        )
        kept_at = {
            bound: float(part) / max(events, 1)
            for bound, part in zip(bounds, events_at, strict=True)
        }
        quantiles = _one(
            con,
            f"SELECT {', '.join(f'quantile_disc(events, {quantile})' for quantile in QUANTILES)} FROM units",
        )
        codes = reader.attribute_codes(con, schema) if events else {}
        return Diagnostics(
            rows=rows,
            users=users,
            usable_events=events,
            usable_users=_one(con, "SELECT count(*) FROM units")[0],
            dropped=dropped,
            remedies=_remedies(schema),
            repeated=rows - sum(dropped.values()) - events,
            kind="" if schema.kind is None else f" and {schema.kind.name}",
            items_used=items,
            catalogue_items=_one(con, "SELECT count(*) FROM items")[0],
            kept_at=kept_at,
            events_per_user=schema.privacy.events_per_user,
            suggested_events_per_user=next(
                (bound for bound in BOUNDS if kept_at[bound] >= SHARE_TO_KEEP), BOUNDS[-1]
            ),
            activity={
                quantile: int(value or 0)
                for quantile, value in zip(QUANTILES, quantiles, strict=True)
            },
            ratings=_ratings(con, schema),
            other={
                name: int((codes[name] == attribute.size).sum())
                for name, attribute in schema.user_attributes.items()
                if name in codes and attribute.size
            },
            population=schema.source.population,
            opted_out=None
            if exclude_users is None
            else _one(con, "SELECT count(*), count(*) FILTER (found) FROM opted_out"),
        )


def _remedies(schema: Schema) -> dict[str, str]:
    rating, time = (column and column.name for column in (schema.rating, schema.time))
    return {
        "item not in the catalogue": f"[columns] {schema.item}: its catalogue must list these, spelled as in the log",
        "rating off the declared scale": f"[columns] {rating}: min = 0 if stars are counted from 0, "
        "step = 0.5 if there are half stars",
        "time outside the declared window": f"[columns] {time}: min and max are the days of the export",
        **{
            f"{name} not as declared": f"[columns] {name}: list what else it holds, or widen min and max"
            for name in schema.marks
        },
        **{
            name: f"[users] {name}: declare what else it holds; if it is everybody, "
            f"{schema.user} must be spelled as in the log"
            for name in schema.user_attributes
        },
    }


def _dropped(con: Any, schema: Schema) -> dict[str, int]:
    counted, before = {}, "true"
    for reason, condition in bounding.reasons(schema).items():
        counted[reason] = int(
            _one(con, f"SELECT count(*) FROM judged WHERE {before} AND ({condition})")[0]
        )
        before += f" AND NOT ({condition})"
    return counted


def _ratings(con: Any, schema: Schema) -> dict[str, int]:
    if schema.rating is None:
        return {}
    counts = dict(con.sql("SELECT round(rating, 4), count(*) FROM bounded GROUP BY 1").fetchall())
    levels = zip(schema.rating.labels, schema.rating.levels, strict=True)
    return {
        label: sum(
            count for value, count in counts.items() if abs(value - level) < schema.rating.step / 4
        )
        for label, level in levels
    }


def _one(con: Any, query: str) -> tuple[Any, ...]:
    row: tuple[Any, ...] = con.sql(query).fetchall()[0]
    return row


def _part(count: int, whole: int) -> str:
    return f"{count:,} ({count / max(whole, 1):.1%})"

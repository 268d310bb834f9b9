"""Propose a configuration for a log that nobody has declared yet.

Guarantees: roles and types come from column names and the file format alone. A first line that
seems to be a row is refused unquoted. Where a declaration about values is needed there stands "?",
which no other command accepts. Values are read only from columns that the owner names as public,
and the file says so; the catalogue is a public file, so its content may be read, but only the owner
can say that it owes nothing to the log.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from synthrec.data.catalogue import read_public_table
from synthrec.data.files import SUFFIXES, file_errors, find_files, open_file, require_header
from synthrec.data.public_values import MAX_CATEGORIES, PublicColumn, catalogue_type, grid, window
from synthrec.data.reader import columns_of, public_column
from synthrec.errors import SchemaError

_WORDS: dict[str, tuple[str, ...]] = {
    "user": (
        "userid",
        "user",
        "visitorid",
        "customerid",
        "clientid",
        "accountid",
        "memberid",
        "uid",
        "reviewerid",
        "personid",
        "customer",
        "visitor",
        "account",
        "member",
        "reviewer",
        "customeruniqueid",
        "playerid",
        "player",
        "listenerid",
        "subscriberid",
        "buyerid",
        "profileid",
        "steamid",
        "userno",
        "userkey",
    ),
    "item": (
        "itemid",
        "item",
        "movieid",
        "productid",
        "articleid",
        "trackid",
        "songid",
        "bookid",
        "isbn",
        "sku",
        "asin",
        "stockcode",
        "contentid",
        "videoid",
        "gameid",
        "productcode",
        "product",
        "movie",
        "article",
        "track",
        "iid",
        "game",
        "gametitle",
        "gamename",
        "appid",
        "artistid",
        "artist",
        "albumid",
        "album",
        "video",
        "businessid",
        "recipeid",
        "animeid",
        "courseid",
        "itemno",
        "isbn13",
        "beerid",
        "song",
        "book",
        "newsid",
        "listingid",
        "productno",
    ),
    "rating": (
        "rating",
        "stars",
        "score",
        "overall",
        "grade",
        "feedback",
        "ratingscore",
        "reviewoverall",
    ),
    "time": (
        "timestamp",
        "time",
        "datetime",
        "date",
        "createdat",
        "eventtime",
        "ts",
        "invoicedate",
        "unixreviewtime",
        "ratedat",
        "unixtime",
        "unixtimestamp",
        "playedat",
        "reviewtime",
        "reviewdate",
        "purchasedat",
        "purchasedate",
        "orderdate",
        "visitdate",
        "listenedat",
        "watchedat",
        "lastplayed",
        "lastwatched",
        "lastlistened",
        "lastseen",
        "when",
    ),
    "event": ("eventtype", "event", "action", "behavior", "behaviour", "type"),
    "group": (
        "sessionid",
        "session",
        "basketid",
        "basket",
        "invoice",
        "invoiceno",
        "orderid",
        "order",
    ),
    "number": (
        "age",
        "income",
        "quantity",
        "price",
        "unitprice",
        "amount",
        "tenure",
        "year",
        "hours",
        "hoursplayed",
        "playtime",
        "playtimehours",
        "minutes",
        "duration",
        "dwelltime",
        "plays",
        "playcount",
        "listens",
        "listencount",
        "views",
        "viewcount",
        "count",
        "clicks",
    ),
    "personal": (
        "zipcode",
        "zip",
        "postcode",
        "postalcode",
        "name",
        "firstname",
        "lastname",
        "fullname",
        "email",
        "phone",
        "address",
        "street",
        "birthday",
        "birthdate",
        "dateofbirth",
        "ip",
        "ipaddress",
        "comment",
        "notes",
    ),
}


def meaning(name: str) -> str | None:
    """A key of `_WORDS`, or None: "user_id", "UserID", "user id" and RecBole's "user_id:token" are
    one word.
    """
    plain = _plain(name)
    return next((word for word, names in _WORDS.items() if plain in names), None)


def _plain(name: str) -> str:
    return re.sub(r":(token|float)(_seq)?$|[^a-z0-9]", "", name.lower())


def first_meaning(names: Iterable[str], wanted: str) -> str | None:
    """The column that most likely means `wanted`: the one whose name stands first in the list of
    words.
    """
    order: Sequence[str] = _WORDS[wanted]
    known = [name for name in names if meaning(name) == wanted]
    return min(known, key=lambda name: order.index(_plain(name)), default=None)


DROPPED = "what it is cannot be told from its name"
MAX_LISTED_ITEMS = 10_000
ASK = '"?"'


@dataclass(frozen=True)
class _Tables:
    """The log and the tables beside it, by role; `path` is the log's first file, if it has one."""

    log: Any
    path: Path | None
    columns: dict[str, str]
    users: Path | None
    items: Path | None
    public: tuple[str, ...]
    folder: Path

    def facts(
        self, name: str, *, table: Any = None, limit: int = MAX_CATEGORIES
    ) -> PublicColumn | None:
        """Values of a column that the owner named; None for every other."""
        if name not in self.public:
            return None
        return public_column(self.log if table is None else table, name, limit=limit)

    def relative(self, path: Path) -> str:
        """A path as the configuration should hold it."""
        return json.dumps(os.path.relpath(path, self.folder), ensure_ascii=False)


MOVIELENS = {  # file -> the file that `propose` looks for beside a log, and the columns
    "ratings.dat": ("ratings.csv", ("user_id", "movie_id", "rating", "timestamp")),
    "users.dat": ("users.csv", ("user_id", "gender", "age", "occupation", "zip_code")),
    "movies.dat": ("items.csv", ("movie_id", "title", "genres")),
}


def double_colons(log: Any) -> bool:
    """Is it a file of MovieLens' older form?"""
    return Path(log).name == "ratings.dat" and Path(log).is_file()


def rewrite_double_colons(path: Path) -> Path:
    """The log and the tables beside it as CSV, in new files; where the log then is. Raises DataError."""
    for name, (target, columns) in MOVIELENS.items():
        source, made = path.with_name(name), path.with_name(target)
        if not source.exists():
            continue
        with (
            file_errors(source),
            source.open("rb") as lines,
            made.open("x", encoding="utf-8", newline="") as rows,
        ):
            made.chmod(source.stat().st_mode & 0o777)
            writer = csv.writer(rows)
            writer.writerow(columns)
            for line in lines:
                try:
                    text = line.decode()
                except UnicodeDecodeError:
                    text = line.decode("latin-1")
                writer.writerow(text.rstrip("\r\n").split("::"))
    return path.with_name("ratings.csv")


def propose(log: Any, *, values_are_public: tuple[str, ...] = (), folder: Path = Path(".")) -> str:
    """TOML text of a `synthrec.toml` that will stand in `folder`.

    Args:
        log: as `reader.read_log` takes it. values_are_public: columns of the log or the user table
        whose values the owner declares public.

    Raises:
        DataError: the log cannot be read. SchemaError: a column named as public does not exist.
    """
    path = find_files(log)[0].path if isinstance(log, (str, Path)) else None
    users, items = (None if path is None else _sibling(path, word) for word in ("users", "items"))
    for table in (log, users):
        if isinstance(table, (str, Path)):
            require_header(find_files(table)[0])
    tables = _Tables(
        log, path, dict(columns_of(log)), users, items, public=values_are_public, folder=folder
    )
    user, item = first_meaning(tables.columns, "user"), first_meaning(tables.columns, "item")
    beside = () if users is None else open_file(users).columns
    unknown = [
        name for name in values_are_public if name not in tables.columns and name not in beside
    ]
    if unknown:
        raise SchemaError(
            "--values-are-public names columns of the log or of the user table",
            found=f"no column {', '.join(unknown)}",
            remedy="Correct the name.",
        )
    parts = [
        _head(tables, user=user),
        _columns(tables, user=user, item=item),
        _users(tables, user=user),
        _items(tables, item=item),
        "[events]\nrepeats = false                 # may one user do the same thing to the same item twice?\n",
    ]
    return "\n".join(part for part in parts if part)


def _sibling(path: Path, word: str) -> Path | None:
    stem = path.name.split(".")[0]
    full = re.sub(r"(\.[A-Za-z]+)(\.gz)?$", "", path.name)
    ends = [f"{suffix}{packed}" for suffix in SUFFIXES for packed in ("", ".gz")]
    names = [
        f"{start}{word}{end}"
        for start in dict.fromkeys((f"{full}.", f"{stem}.", ""))
        for end in ends
    ]
    if path.suffix == ".inter":  # RecBole's atomic files
        names = [f"{path.stem}.{word.removesuffix('s')}"]
    return next(
        (beside for name in names if (beside := path.with_name(name)).exists() and beside != path),
        None,
    )


def _head(tables: _Tables, *, user: str | None) -> str:
    stem = "log" if tables.path is None else tables.path.name.split(".")[0]
    unit = json.dumps(user, ensure_ascii=False) if user else ASK
    claim = ""
    if tables.public:
        names = json.dumps(list(tables.public), ensure_ascii=False)
        claim = (
            "# The owner's word, given to `synthrec init`: what these columns hold is public. Their values below were read.\n"
            f"values_are_public = {names}\n"
        )
    return f"""\
# What synthrec may know about the log before it reads it. Everything in this file is PUBLIC and appears in reports.
# Replace every "?" by what you know from elsewhere, not by what you see in the log. `synthrec plan` then shows what it costs.

[source]
name = {json.dumps(stem, ensure_ascii=False)}
population = {ASK}                # your public figure for the number of users; a factor of 2 off costs accuracy, not privacy
public = false                  # true only for data that are published already
ledger = {json.dumps(f"{stem}.ledger.jsonl", ensure_ascii=False)}    # one for all releases of this log: keep it, back it up
epsilon_cap = 10.0              # the most that all releases of this log together may spend
{claim}
[privacy]
events_per_user = 200           # K: at most this many random events of each user count; more events mean more noise
unit = {unit}             # who is protected: the user column, or the column with role = "unit" if a person has several accounts
"""


def _columns(tables: _Tables, *, user: str | None, item: str | None) -> str:
    lines = ["[columns]                       # columns that are not listed here are not read"]
    rating, time = first_meaning(tables.columns, "rating"), first_meaning(tables.columns, "time")
    for name, kind in tables.columns.items():
        if name == user:
            declaration = '{ role = "user" }'
        elif name == item:
            declaration = _item(tables, name)
        elif name == rating:
            declaration = _rating(tables.facts(name, limit=1_000))
        elif name == time:
            declaration = _time(tables.facts(name), native="time" in kind or "date" in kind)
        elif (mark := _mark(tables, name, others=tables.columns)) is not None:
            declaration = mark
        elif (user is None or item is None) and meaning(name) is None:
            declaration = '{ role = "?" }    # "user" or "item"; or write { drop = true }'
        else:
            why = _WHY_DROPPED.get(meaning(name) or "", DROPPED)
            declaration = f"{{ drop = true }}    # {why}"
        lines.append(f"{toml_key(name)} = {declaration}")
    return "\n".join(lines) + "\n"


def _item(tables: _Tables, name: str) -> str:
    if tables.items is not None:
        return f'{{ role = "item", catalogue = {tables.relative(tables.items)} }}'
    facts = tables.facts(name, limit=MAX_LISTED_ITEMS)
    if facts is not None and facts.values:
        return f'{{ role = "item", values = {_list(facts)} }}'
    return (
        f'{{ role = "item", catalogue = {ASK} }}    # a public file with all items, also those nobody chose; or values = [...]; '
        'or vocabulary = "dp": ids that enough users hold are paid for and published as they are, so never ids that name persons'
    )


def _rating(facts: PublicColumn | None) -> str:
    scale = grid(facts) if facts is not None else None
    low, high, step = (_digits(value) for value in scale) if scale else (ASK, ASK, ASK)
    comment = (
        "" if scale else "    # the scale that users see, e.g. 1, 5, 1 (half stars: 0.5, 5, 0.5)"
    )
    return f'{{ type = "ordinal", min = {low}, max = {high}, step = {step} }}{comment}'


def _time(facts: PublicColumn | None, *, native: bool) -> str:
    days = window(facts) if facts is not None else None
    unit, first, last = (
        (json.dumps(word) for word in days) if days else ('"iso"' if native else ASK, ASK, ASK)
    )
    comment = (
        ""
        if days
        else (
            '    # unit: "s", "ms", "us", "ns" since 1970, or "iso"; min, max: days of the export, e.g. "2024-01-01", '
            'or, paid for: bounds = "dp"'
        )
    )
    return f'{{ type = "datetime", unit = {unit}, zone = "UTC", min = {first}, max = {last} }}{comment}'


def _mark(tables: _Tables, name: str, *, others: dict[str, str]) -> str | None:
    """What an event says besides, if the column's name tells; None for every other column."""
    kind = meaning(name)
    if kind == "event":
        facts = tables.facts(name)
        values = _list(facts) if facts is not None and facts.values else ASK
        return (
            f'{{ type = "categorical", values = {values}, outside = "drop" }}    # in the order in which they come; '
            'a later one that needs an earlier one: follows = { cancel = "buy" }'
        )
    if kind == "group" and name == first_meaning(others, "group"):
        return '{ type = "id", groups = "events" }    # events with one id share one time'
    if kind == "number":
        owner = {"age": "user", "income": "user", "tenure": "user", "year": "item"}.get(
            _plain(name)
        )
        owner = "item" if "price" in name.lower() else owner
        of = "" if owner is None else f', of = "{owner}"'
        range_words = (
            _numeric(tables.facts(name))
            .partition("}")[0]
            .removesuffix(" ")
            .replace("bins = 10", "bins = 40")
        )
        return f'{range_words}, scale = "log"{of} }}    # the range that you declare; of = "item": the same for all events of an item'
    return None


_WHY_DROPPED = {
    "group": "a second id of baskets or sessions is not served",
    "personal": "looks personal: leave it out",
    "rating": "a second rating: write it as the first is, or leave it out",
    "time": "a second time is not served",
    "user": 'another id: role = "unit" if it is the person behind several accounts',
}


def _users(tables: _Tables, *, user: str | None) -> str:
    if tables.users is None:
        return ""
    lines = [
        f"[users]                         # one row per user\ntable = {tables.relative(tables.users)}"
    ]
    for name in open_file(tables.users).columns:
        public = name in tables.public
        if name != user and not public and meaning(name) == "personal":
            lines.append(f"# {toml_key(name)} looks personal and is left out")
        elif name != user:
            facts = tables.facts(name, table=tables.users)
            number = meaning(name) == "number" or name.endswith(":float")
            declaration = _numeric(facts) if number else _category(facts, named=public)
            lines.append(f"{toml_key(name)} = {declaration}")
    return "\n".join(lines) + "\n"


def _numeric(facts: PublicColumn | None) -> str:
    if facts is None or facts.low is None or facts.high is None or facts.low == facts.high:
        return (
            f'{{ type = "numeric", min = {ASK}, max = {ASK}, bins = 10 }}    '
            '# the range that you declare, not the one in the table (or, paid for: bounds = "dp")'
        )
    bins = max(1, int(min(10, facts.high - facts.low)))
    return f'{{ type = "numeric", min = {_digits(facts.low)}, max = {_digits(facts.high)}, bins = {bins} }}'


def _category(facts: PublicColumn | None, *, named: bool) -> str:
    if facts is not None and facts.values:
        return f'{{ type = "categorical", values = {_list(facts)} }}'
    comment = (
        f'more than {MAX_CATEGORIES} values: list the main ones, the others become "other"'
        if named
        else 'all values that it may take; others become "other" (or, paid for: vocabulary = "dp"). Or delete the line'
    )
    return f'{{ type = "categorical", values = {ASK} }}    # {comment}'


def _items(tables: _Tables, *, item: str | None) -> str:
    if tables.items is None:
        return ""
    table = read_public_table(tables.items)
    lines = [
        "[items]",
        f"independent_of_log = {ASK}    # true if nothing below was computed from this log (popularity, ratings)",
    ]
    for name in table.column_names:
        if name != item:
            nested = pa.types.is_nested(table.schema.field(name).type)
            declaration = (
                '{ type = "embedding" }'
                if nested
                else catalogue_type(table[name].cast(pa.string()).to_pylist())
            )
            lines.append(f"{'# ' if 'drop' in declaration else ''}{toml_key(name)} = {declaration}")
    return "\n".join(lines) + "\n"


def _digits(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _list(facts: PublicColumn) -> str:
    """Values as TOML: whole numbers as such, everything else as text."""
    values = facts.values or ()
    whole = all(re.fullmatch(r"0|-?[1-9][0-9]{0,17}", value) for value in values)
    return (
        "["
        + ", ".join(value if whole else json.dumps(value, ensure_ascii=False) for value in values)
        + "]"
    )


def toml_key(name: str) -> str:
    """A name as TOML's key."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)

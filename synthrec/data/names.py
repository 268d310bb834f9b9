"""What a column may be, from its name alone: the only thing `init` may look at before values are declared public."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_WORDS: dict[str, tuple[str, ...]] = {
    "user": ("userid", "user", "visitorid", "customerid", "clientid", "accountid", "memberid", "uid", "reviewerid", "personid",
             "customer", "visitor", "account", "member", "reviewer"),
    "item": ("itemid", "item", "movieid", "productid", "articleid", "trackid", "songid", "bookid", "isbn", "sku", "asin", "stockcode",
             "contentid", "videoid", "gameid", "productcode", "product", "movie", "article", "track", "iid"),
    "rating": ("rating", "stars", "score", "overall", "grade", "feedback"),
    "time": ("timestamp", "time", "datetime", "date", "createdat", "eventtime", "ts", "invoicedate", "unixreviewtime", "ratedat"),
    "event": ("eventtype", "event", "action", "behavior", "behaviour", "type"),
    "group": ("sessionid", "session", "basketid", "basket", "invoice", "invoiceno", "orderid", "order"),
    "number": ("age", "income", "quantity", "price", "unitprice", "amount", "tenure", "year"),
    "personal": ("zipcode", "zip", "postcode", "postalcode", "name", "firstname", "lastname", "fullname", "email", "phone", "address",
                 "street", "birthday", "birthdate", "dateofbirth", "ip", "ipaddress", "comment", "notes"),
}


def meaning(name: str) -> str | None:
    """A key of `_WORDS`, or None: "user_id", "UserID" and "user id" are one word."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return next((word for word, names in _WORDS.items() if plain in names), None)


def first_meaning(names: Iterable[str], wanted: str) -> str | None:
    """The column that most likely means `wanted`: the one whose name stands first in the list of words."""
    order: Sequence[str] = _WORDS[wanted]
    known = [name for name in names if meaning(name) == wanted]
    return min(known, key=lambda name: order.index(re.sub(r"[^a-z0-9]", "", name.lower())), default=None)

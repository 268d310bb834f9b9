"""generator.json and generator.safetensors, by the one list that reading them goes by."""

from __future__ import annotations

import json
from pathlib import Path

from synthrec.data.catalogue import Catalogue
from synthrec.errors import SynthrecError
from synthrec.inspection.findings import InspectedPart, broken, first_wrong, paid, unreadable
from synthrec.model.artifact import LARGEST_WORDS, TENSORS, WORDS, parse_words
from synthrec.model.format import Words, differences, layout
from synthrec.storage import read_bounded

ORIGINS = {
    "format_version": "public",
    "schema": "public: the owner's declaration",
    "plan": "public constants",
    "catalogue": "public",
    "features": "public names; which are kept: paid by items",
    "activity_edges": "public",
    "attributes": "public",
    "groups": "public",
    "rating_unit": "public",
    "rating_noise": "post-processing",
    "game": "post-processing",
}
GAMES = ("kept", "set aside: ")
MAX_REASON_LETTERS = 200


def words_of(share: Path) -> tuple[Words | None, Catalogue | None, list[InspectedPart]]:
    """generator.json with a line for each of its fields, and what it says if it can be read."""
    try:
        content = read_bounded(share / WORDS, most=LARGEST_WORDS)
        fields, words, catalogue = parse_words(content)
    except (OSError, SynthrecError) as error:
        return None, None, [unreadable(WORDS, error, missing="missing")]
    parts = [
        InspectedPart(
            WORDS,
            name,
            type(fields[name]).__name__,
            origin,
            _wrong(name, fields[name], words=words, catalogue=catalogue),
        )
        for name, origin in (ORIGINS | _looked_for(words)).items()
    ]
    if content != json.dumps(fields, indent=1).encode():
        parts.append(broken(WORDS, "bytes that synthrec does not write"))
    return words, catalogue, parts


def _looked_for(words: Words) -> dict[str, str]:
    """Where open columns ("dp") have come from. Their names are the owner's: not printed."""
    looks = {
        "schema": (
            words.plan.openings,
            "public: the owner's declaration; what it leaves open: paid by looks",
        ),
        "catalogue": (words.declared.item_column.paid, "ids: paid by a look"),
    }
    return {field: origin for field, (paid_for, origin) in looks.items() if paid_for}


def tensors_of(
    share: Path, *, words: Words, catalogue: Catalogue, ledger: set[str]
) -> list[InspectedPart]:
    """A line for each tensor that is there or should be; `ledger` are the mechanisms that the
    excerpt holds.
    """
    known = layout(words, items=catalogue.size)
    try:
        wrong = {
            difference.name: difference.found
            for difference in differences(share / TENSORS, layout=known)
        }
    except (OSError, SynthrecError) as error:
        return [unreadable(TENSORS, error, missing="missing or not readable")]
    for name, tensor in known.items():
        if unpaid := set(tensor.paid_by) - ledger:
            wrong.setdefault(name, f"no entry of the ledger pays for {', '.join(sorted(unpaid))}")
    lines = [
        InspectedPart(
            TENSORS,
            name,
            f"{tensor.kind} {list(tensor.shape)}",
            paid(tensor.origin, tensor.paid_by),
            wrong.get(name),
        )
        for name, tensor in known.items()
    ]
    return lines + [
        broken(TENSORS, problem, name=name) for name, problem in wrong.items() if name not in known
    ]


def _wrong(name: str, value: object, *, words: Words, catalogue: Catalogue) -> str | None:
    """Every field must be what writing the parsed one again gives: no second spelling carries
    anything else.
    """
    again = {
        "schema": lambda: json.loads(words.declared.model_dump_json()),
        "plan": lambda: json.loads(words.plan.model_dump_json()),
        "catalogue": catalogue.to_json,
    }
    odd_reason = words.game is not None and (
        not words.game.startswith(GAMES) or len(words.game) > MAX_REASON_LETTERS
    )
    return first_wrong(
        (
            name in again and value != again[name](),
            "more, or less, than the declared fields",
        ),
        (
            name == "schema" and words.declared != words.declared.shared(),
            "names of dropped columns, or paths of the owner's files",
        ),
        (name == "game" and odd_reason, "words that synthrec does not write"),
    )

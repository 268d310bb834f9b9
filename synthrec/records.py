"""What every record of synthrec is: frozen, strict, typed JSON; and where a field of a record that
leaves comes from.

Guarantees: a field without a declared origin is private: the public edition, `inspect` and the
allow-lists are made of the declarations alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict

Field = TypeVar("Field")


class FrozenRecord(BaseModel):
    """Frozen, JSON-able, strict about unknown fields, quiet about inputs in its errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, ser_json_inf_nan="strings"
    )


@dataclass(frozen=True)
class FieldOrigin:
    """Why a field may leave: what it is made of, "" for what is public by itself."""

    made_from: str = ""

    def __str__(self) -> str:
        return f"public: from {self.made_from}" if self.made_from else "public"


Public = Annotated[Field, FieldOrigin()]
OfClaim = Annotated[Field, FieldOrigin("the claim")]
OfLedger = Annotated[Field, FieldOrigin("the source's ledger")]
OfLooks = Annotated[Field, FieldOrigin("looks at open columns, paid")]
OfMeasurements = Annotated[Field, FieldOrigin("measurements, paid, against the synthetic log")]


def origins(kind: type[FrozenRecord]) -> dict[str, FieldOrigin]:
    """The fields of a record that may leave, in their order, and where each comes from."""
    return {
        name: origin
        for name, field in kind.model_fields.items()
        for origin in field.metadata
        if isinstance(origin, FieldOrigin)
    }

"""A claim is complete or it is not made: the parts that it must say, and which of them a record lacks.

Guarantees: no claim is rendered anywhere while a part is missing.
"""

from __future__ import annotations

from collections.abc import Callable

from synthrec.report.record import ReleaseRecord

PARTS: dict[str, Callable[[ReleaseRecord], object]] = {
    "the privacy unit": lambda record: record.unit,
    "the neighbouring relation": lambda record: record.neighbouring_relation,
    "the contribution bound": lambda record: record.events_per_user > 0,
    "epsilon": lambda record: record.epsilon > 0,
    "delta, and the population that it is chosen against": lambda record: 0 < record.delta < 1 and record.population > 0,
    "epsilon at other deltas": lambda record: record.profile,
    "every mechanism with its parameters": lambda record: record.mechanisms and all(
        each.purpose and each.kind and each.sensitivity > 0 and each.noise_std > 0 for each in record.mechanisms),
    "the accountant": lambda record: record.accountant,
    "a second accountant": lambda record: record.cross_check_accountant and record.epsilon_cross_check > 0,
    "the sampler": lambda record: record.sampler,
    "what is public, and on whose word": lambda record: record.public_declarations,
    "what was chosen with sight of the log": lambda record: record.chosen_with_sight,
    "the sum over all releases": lambda record: record.ledger_total >= record.epsilon - 1e-9,
    "which try this was": lambda record: record.try_number >= 1,
    "who saw the raw data": lambda record: record.raw_data_seen_by,
    "the source of noise": lambda record: record.noise_source,
    "the arithmetic": lambda record: record.floating_point,
}


def missing_parts(release: ReleaseRecord) -> tuple[str, ...]:
    """What the claim does not say; empty for a complete one."""
    return tuple(name for name, said in PARTS.items() if not said(release))

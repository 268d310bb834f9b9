"""How numbers are written on the page, in files and on the terminal.

Claims are rounded against us: an epsilon, a delta and what an attacker can reach are rounded up, never to nearest. Whatever a record of
somebody else holds is written somehow: what is no number as such.
"""

from __future__ import annotations

import math

from synthrec.audit.figure import Figure


def number(value: float, *, digits: int = 3) -> str:
    """Fixed decimals, thousands apart, infinity as a sign."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:,.{digits}f}".replace("-", "−")


def short(value: float) -> str:
    """Four significant digits at most, for parameters whose scale varies."""
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        text = f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
        return text.replace("-", "−")
    return number(value) if math.isinf(value) else delta(value)


def rounded_up(value: float, *, digits: int = 2) -> str:
    """For figures of a claim: never smaller than the value."""
    scale = 10**digits
    if not math.isfinite(value * scale):
        return number(value)
    return number(math.ceil(value * scale - 1e-9) / scale, digits=digits)


def delta(value: float) -> str:
    """1e-5 as people write it on the command line."""
    if not math.isfinite(value):
        return number(value)
    mantissa, exponent = f"{value:.3e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def when(created_utc: str) -> str:
    """2026-03-04T10:15:00Z as people write it."""
    day, _, time = created_utc.partition("T")
    return f"{day} {time[:5]} UTC" if time else created_utc


def percent(value: float, *, digits: int = 0) -> str:
    """A share as a percentage."""
    return f"{number(100 * value, digits=digits)} %"


def interval(figure: Figure, *, digits: int = 3, as_percent: bool = False) -> str:
    """The confidence interval of a figure."""
    if as_percent:
        return f"{number(100 * figure.low, digits=digits)} to {number(100 * figure.high, digits=digits)} %"
    return f"{number(figure.low, digits=digits)} to {number(figure.high, digits=digits)}"

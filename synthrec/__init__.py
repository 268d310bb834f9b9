"""Synthetic user-behaviour logs with user-level differential privacy: `Synthesizer(schema,
plan).fit(log).sample(users=10_000)`.

Names load on first use, so that `import synthrec` costs nothing and `synthrec --help` answers at
once.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "Schema": "synthrec.data.schema",
    "Synthesizer": "synthrec.synthesizer",
    "SynthrecError": "synthrec.errors",
    "plan_release": "synthrec.model.recipe",
    "read": "synthrec.synthesizer",
}
__all__ = ["Schema", "Synthesizer", "SynthrecError", "__version__", "plan_release", "read"]


def __getattr__(name: str) -> Any:
    """Public names, each imported from its own file when it is first asked for."""
    if name not in _WHERE:
        raise AttributeError(f"module 'synthrec' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

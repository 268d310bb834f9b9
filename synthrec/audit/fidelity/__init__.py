"""How like the real log is the synthetic one? One file a topic; each figure between two halves of
the real users and a floor.

measure_fidelity(synthetic, real=..., floor=..., schema=..., items=..., events_per_user=...,
rng=...) -> tuple[Fidelity, ...]
"""

from synthrec.audit.fidelity.measure import measure_fidelity

__all__ = ["measure_fidelity"]

"""Membership attacks per user: who has the synthetic log and knows a person, can they tell whether
that person trained?
"""

from synthrec.audit.attacks.metrics import flagged
from synthrec.audit.attacks.run import ScoredMembership, run_attacks

__all__ = ["ScoredMembership", "flagged", "run_attacks"]

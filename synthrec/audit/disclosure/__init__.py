"""What a motivated intruder who holds the synthetic log learns about a person who trained, beyond
what the population gives away.
"""

from synthrec.audit.disclosure.measure import measure_disclosure

__all__ = ["measure_disclosure"]

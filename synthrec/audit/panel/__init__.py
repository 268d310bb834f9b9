"""Does the synthetic log rank recommenders as the real one does? Recommenders of different kinds, trained on either, asked the same."""

from synthrec.audit.panel.measure import measure_panel

__all__ = ["measure_panel"]

"""Balancing: counts, thresholds, probabilities and the draw."""

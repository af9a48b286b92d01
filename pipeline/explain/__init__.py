"""Where a pair of a finished output is, or which stage dropped it and why. Plain Arrow: no Spark."""

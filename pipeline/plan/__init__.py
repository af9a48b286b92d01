"""A forecast of a run from a sample of its input. No Spark."""

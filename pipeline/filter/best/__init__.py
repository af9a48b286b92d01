"""The best share of the pairs by a column of scores."""

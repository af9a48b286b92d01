"""Matching: which entries occur in a text."""

"""Pairs of new files in a table ``pairs`` that is there."""

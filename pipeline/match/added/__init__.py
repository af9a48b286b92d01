"""Matches of new pairs in a table ``matched`` that is there."""

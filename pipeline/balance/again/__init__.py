"""Balancing again, over what survived."""

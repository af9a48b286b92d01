"""Recipes side by side: one pool curated by each, the same training and evaluation for all, and what came of it."""

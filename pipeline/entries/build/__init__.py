"""Builds entry lists from WordNet, Wikipedia, packages and lists of one's own."""

"""Texts with a rare word or word pair: the n-grams of the pool are counted, and held in a file of sorted hashes."""

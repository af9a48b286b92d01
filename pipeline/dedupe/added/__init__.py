"""Near-duplicates of new texts, among each other and with those that are there."""

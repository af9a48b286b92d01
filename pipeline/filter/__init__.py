"""Which pairs stay once their images are at hand: rules, duplicates, evaluation sets, block-lists."""

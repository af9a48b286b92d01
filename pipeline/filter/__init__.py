"""Which pairs stay once their pictures are at hand: rules, duplicates, evaluation sets, block-lists."""

"""What was taken out of an output, as keyed hashes, so that nothing brings it back."""

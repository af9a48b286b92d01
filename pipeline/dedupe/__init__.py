"""De-duplication: clusters of near-duplicate texts by MinHash, and which of a cluster stay."""

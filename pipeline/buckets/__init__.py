"""Rows in buckets by pair_id: what a stage reads and writes, a file a bucket, and what little moves between them."""

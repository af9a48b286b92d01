"""The contrastive trainer that reads curated shards, and the evaluation of what it learned; no Spark."""

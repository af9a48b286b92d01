"""The contrastive trainer that reads curated shards, and the evaluation of what it learned; no Spark."""

import os

# transformers speaks of every optional package that is missing and of every file that it reads, and tokenizers of every
# fork, unless told not to.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

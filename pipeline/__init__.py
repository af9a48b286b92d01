"""From a raw pool of web image-text pairs to a balanced CLIP training set, the MetaCLIP way.

The stages are folders: ``ingest``, ``language``, ``entries``, ``match``, ``dedupe``, ``balance``, ``shards``.
``curate`` runs them in order. See ``docs/architecture.md``.
"""

__version__ = "0.1.0"

"""Semantic duplicates by embeddings (Abbas et al. 2023, "SemDeDup"): k-means, then cosines within each cluster."""

"""The rule ``filter.semantic`` in a run."""

from typing import Any

from pipeline import storage, tables
from pipeline.errors import UsageError
from pipeline.filter.semantic.kmeans import centroids_of
from pipeline.filter.semantic.spark import by_semantic, judged, of_pairs, placed, read_vectors, sample
from pipeline.filter.semantic.vectors import embedding_files, named_by
from pipeline.recipe import Recipe
from pipeline.recipe_file import found_path
from pipeline.run import Run

KEY = "filter.semantic.embeddings"
# SemDeDup took 50,000 clusters for 440 million images (Abbas et al. 2023).
MOST_CLUSTERS, VECTORS_PER_CLUSTER = 50_000, 1000
# So many vectors a cluster are the sample that centroids come from, and so many in all.
SAMPLED, MOST_SAMPLED = 64, 1 << 20


def without_duplicates(run: Run, rows: tables.DataFrame) -> tuple[tables.DataFrame, dict[str, Any]]:
    """The rows after the rule, and what is noted."""
    options, seed, files = run.recipe.filter.semantic, run.recipe.seed, _files(run.recipe)
    name = named_by(files, KEY)
    vectors = run.cut(of_pairs(read_vectors(run.session, files, name), rows, name), "vectors")
    count = tables.count_rows(tables.staging(run.output, "vectors"))
    clusters = options.clusters or max(1, min(MOST_CLUSTERS, count // VECTORS_PER_CLUSTER))
    share = min(1.0, min(SAMPLED * clusters, MOST_SAMPLED) / max(1, count))
    centroids = centroids_of(sample(vectors, share, seed), clusters, seed)
    near = judged(run.cut(placed(vectors, centroids), "placed"), options)
    left = run.cut(by_semantic(rows, near), "distinct")
    return left, {"semantic": {"embedded": count, "clusters": len(centroids)}}


def check_embeddings(recipe: Recipe) -> None:
    """Raises ``UsageError`` where there are no embeddings, or files that do not fit each other."""
    for given in recipe.filter.semantic.embeddings:
        if not _files_of(given):
            raise UsageError(f"{KEY}: {given}: no .parquet or .npy files there")
    named_by(_files(recipe), KEY)


def _files(recipe: Recipe) -> list[str]:
    return [file for given in recipe.filter.semantic.embeddings for file in _files_of(given)]


def _files_of(given: str) -> list[str]:
    return embedding_files([file for file, _, _ in storage.list_files(found_path(given))])

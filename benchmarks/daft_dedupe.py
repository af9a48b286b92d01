"""De-duplication with Daft by the steps of its tutorial on MinHash; ``benchmarks.peers`` runs it where Daft is.

Normalise, MinHash, bands, groups of equal bands, connected components, the rows that stay to Parquet. Components are
those of large-star and small-star in Daft, as in the tutorial, or of igraph, with which the tutorial checks them.
"""

import argparse

import daft
from daft import DataFrame, col
from daft.functions import monotonically_increasing_id, when

SEED = 42


@daft.func()
def numbers(bands: list[int], count: int) -> list[int]:
    """0, 1, … for the bands of a text."""
    return list(range(count))


def edges_of(texts: DataFrame, given: argparse.Namespace) -> DataFrame:
    """An edge (u, v), u < v, from the smallest text of each group of equal bands to every other one."""
    normal = col("text").normalize(lowercase=True, white_space=True)
    hashes = normal.minhash(num_hashes=given.permutations, ngram_size=given.ngram, seed=SEED, hash_function="xxhash")
    bands = hashes.cast(daft.DataType.list(daft.DataType.uint32())).slice(0, given.bands * given.rows).chunk(given.rows)
    banded = texts.select(col("node"), bands.alias("band"))
    banded = banded.with_column("number", numbers(col("band"), given.bands)).explode("band", "number")
    groups = banded.groupby("number", "band").agg(col("node").list_agg().alias("nodes"))
    ends = groups.select(col("nodes").list_min().alias("u"), col("nodes").alias("v")).explode("v")
    return ends.where(col("u") != col("v")).distinct().collect()


def by_stars(edges: DataFrame) -> DataFrame:
    """The edges (u, v) of each node v to the smallest node u of its component, by alternating stars."""
    former = None
    while former is None or not same(former, edges):
        former, edges = edges, small_star(large_star(edges))
    return edges


def large_star(edges: DataFrame) -> DataFrame:
    """Links each larger neighbour of a node to the smallest node of the neighbourhood."""
    both = edges.select("u", "v").union_all(edges.select(col("v").alias("u"), col("u").alias("v")))
    stars = both.groupby("u").agg(col("v").list_agg().alias("near"))
    least = col("near").list_min()
    stars = stars.with_column("least", when(least < col("u"), least).otherwise(col("u"))).explode("near")
    return (
        stars.where(col("near") > col("u")).select(col("least").alias("u"), col("near").alias("v")).distinct().collect()
    )


def small_star(edges: DataFrame) -> DataFrame:
    """Links a node and its smaller neighbours to the smallest of those."""
    stars = edges.groupby("v").agg(col("u").list_agg().alias("near"))
    stars = stars.with_column("least", col("near").list_min())
    smaller = stars.explode("near").select(col("least").alias("u"), col("near").alias("v"))
    found = smaller.union_all(stars.select(col("least").alias("u"), "v"))
    return found.where(col("u") != col("v")).distinct().collect()


def same(one: DataFrame, other: DataFrame) -> bool:
    """Whether two sets of edges are one."""
    return len(one) == len(other) and one.sort(["u", "v"]).to_arrow().equals(other.sort(["u", "v"]).to_arrow())


def by_igraph(edges: DataFrame) -> DataFrame:
    """The edges (u, v) of each node v to the smallest node u of its component, by igraph."""
    import igraph
    import numpy as np

    found = edges.to_arrow()
    names, ends = np.unique(np.stack([found["u"].to_numpy(), found["v"].to_numpy()], 1), return_inverse=True)
    graph = igraph.Graph(n=len(names), edges=ends.reshape(-1, 2))
    component = np.array(graph.connected_components(mode="weak").membership)
    least = names[np.unique(component, return_index=True)[1]][component]
    return daft.from_pydict({"u": least[least != names], "v": names[least != names]})


def main() -> None:
    """De-duplicates a Parquet file with a column ``text``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("texts")
    parser.add_argument("out")
    parser.add_argument("--components", choices=["stars", "igraph"], required=True)
    for name in ("ngram", "permutations", "bands", "rows"):
        parser.add_argument(f"--{name}", type=int, required=True)
    given = parser.parse_args()
    texts = daft.read_parquet(given.texts).with_column("node", monotonically_increasing_id()).collect()
    stars = {"stars": by_stars, "igraph": by_igraph}[given.components](edges_of(texts, given))
    kept = texts.join(stars.select("v"), left_on="node", right_on="v", how="anti")
    kept.exclude("node").write_parquet(given.out)


if __name__ == "__main__":
    main()

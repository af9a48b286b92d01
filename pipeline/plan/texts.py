"""What becomes of a sample's rows: repeats, languages, matches, near-duplicates; a weight for each that is left."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.buckets.hashing import hashes
from pipeline.components.stars import stars
from pipeline.dedupe.bands import band_hashes, bands_and_rows
from pipeline.dedupe.candidates import candidate_pairs, digests, distinct_pairs, first_of_equal
from pipeline.dedupe.jaccard import jaccards
from pipeline.dedupe.normal import normal_texts
from pipeline.dedupe.signatures import coefficients, signatures
from pipeline.entries.lists import list_names
from pipeline.language.codes import aliases
from pipeline.language.identify import load_model, model_file
from pipeline.language.label import NOT_KEPT, label_rows, with_codes
from pipeline.match.engine import choose_list, match_by_list
from pipeline.match.matchers import Matchers
from pipeline.plan.clock import Clock
from pipeline.plan.groups import kept_shares
from pipeline.plan.sample import Sample
from pipeline.recipe import Dedupe, Recipe

BATCH = 1 << 14
NO_ENTRIES = pa.scalar([], pa.list_(pa.int32()))


@dataclass
class Pairs:
    """The sample's distinct pairs that match an entry, and what rows of the input each stands for.

    ``weight``: so many pairs of the pool, for each. ``rows`` have all columns of the table matched, but its ids of
    images and draws. ``kept``: the share of each that near-duplicates leave, ``clustered``: about so many pairs of the
    pool have such. ``ingested``: the pairs of the pool before matching, ``unmatched``: those that went, by reason.
    """

    rows: pa.Table
    weight: np.ndarray
    rate: float
    near: float
    ingested: float
    dropped: dict[str, float]
    unmatched: dict[str, float]
    kept: np.ndarray = field(default_factory=lambda: np.zeros(0))
    clustered: float = 0.0

    @property
    def matched(self) -> float:
        """The pairs of the pool that match."""
        return float(self.weight.sum())


def ready(recipe: Recipe) -> None:
    """Loads and compiles what the sample's rows need, so that their times are those of rows."""
    if recipe.language.identify == "fasttext":
        load_model(str(model_file(recipe.language.model)))
    if recipe.dedupe.scope != "none":
        _clusters(pa.table({"text": ["one of two texts that are near", "one of two texts that are near."],
                            "url": ["a", "a"]}), recipe.dedupe)  # fmt: skip


def matched_pairs(sample: Sample, recipe: Recipe, matchers: Matchers, clock: Clock) -> Pairs:
    """The pairs of a sample as the stages ``ingest`` and ``match`` leave them."""
    up = sample.total / max(1, sample.read)
    dropped = {reason: rows * up for reason, rows in sample.dropped.items() if rows}
    rows = sample.rows
    with clock.of("languages"):
        rows, gone = _with_languages(rows, recipe) if not recipe.language.match_first else (rows, None)
    weight = _repeats(sample) / sample.rate
    if gone is not None:
        if gone.any():
            dropped[NOT_KEPT] = float(gone.sum() / sample.rate)
        weight = weight[~gone]
    rows, weight = _distinct(rows, weight)
    ingested = float(weight.sum())
    good = sample.total - sum(dropped.values())
    if good - ingested > 0.5:
        dropped["duplicate"] = good - ingested
    unmatched: Counter = Counter()
    with clock.of("match"):
        lists, entries = _entries(rows["text"], rows["language"], recipe, matchers)
        hits = pc.fill_null(pc.greater(pc.list_value_length(entries), 0), False).to_numpy(zero_copy_only=False)
    without = pc.is_null(lists).to_numpy(zero_copy_only=False)
    if recipe.match.unmatched == "keep":
        entries, hits, without = pc.fill_null(entries, NO_ENTRIES), np.ones(len(hits), bool), np.zeros(len(hits), bool)
    for reason, which in (("no_entry_list", without), ("no_match", ~hits & ~without)):
        if which.any():
            unmatched[reason] = float(weight[which].sum())
    rows = rows.append_column("entry_list", lists).append_column("entries", entries).filter(pa.array(hits))
    weight = weight[hits]
    if recipe.language.match_first:
        with clock.of("languages"):
            rows, gone = _with_languages(rows, recipe)
        if gone.any():
            unmatched[NOT_KEPT] = float(weight[gone].sum())
        weight = weight[~gone]
    rate = len(weight) / max(1.0, weight.sum())
    near = min(1.0, sample.near * rate / sample.rate) if sample.rate else 1.0
    return Pairs(rows, weight, min(1.0, rate), near, ingested, dropped, dict(unmatched))


def _repeats(sample: Sample) -> np.ndarray:
    """The part that each row is of its pair: one over the number of its repeats in the input."""
    if sample.repeats is not None:
        return 1.0 / sample.repeats
    rows = sample.rows
    return shares(rows["pair_id"].to_numpy(), rows["piece"].to_numpy(), sample.near, sample.rate, 1.0)


def shares(
    groups: np.ndarray, pieces: np.ndarray, near: float, rate: float, limit: float, alone: float = 0.95
) -> np.ndarray:
    """The share of each row's group that stays where ``limit`` of a group do.

    What is of the same piece of the input was seen with the rate ``near``, all other rows with ``rate``; members of a
    group are taken for either of one place or of all.
    """
    _, group, size = np.unique(groups, return_inverse=True, return_counts=True)
    if near <= rate * 1.001:
        return kept_shares(size[group] - 1.0, rate, limit, alone)
    _, local, local_size = np.unique(np.stack([group, pieces]), axis=1, return_inverse=True, return_counts=True)
    here = local_size[local.ravel()]
    others = kept_shares((size[group] - here).astype(float), rate, limit, alone)
    return others * kept_shares(here - 1.0, near, limit, alone)


def _distinct(rows: pa.Table, weight: np.ndarray) -> tuple[pa.Table, np.ndarray]:
    """One row of each pair, with the weight of all."""
    _, first, of = np.unique(rows["pair_id"].to_numpy(), return_index=True, return_inverse=True)
    return rows.take(pa.array(first)).combine_chunks(), np.bincount(of, weight, minlength=len(first))


def _with_languages(rows: pa.Table, recipe: Recipe) -> tuple[pa.Table, np.ndarray]:
    """The rows in languages that are kept, labelled, and which of the given ones are not."""
    options, codes = recipe.language, aliases(list_names(recipe))
    model = str(model_file(options.model)) if options.identify == "fasttext" else None
    found = []
    for batch in rows.to_batches(BATCH):
        if "language_score" in batch.schema.names:
            batch = batch.drop_columns(["language_score"])
        found.append(label_rows(with_codes(batch, options, model), options, codes))
    if not found:
        return rows.append_column("language_score", pa.nulls(0, pa.float64())), np.zeros(0, bool)
    labelled = pa.Table.from_batches(found)
    gone = pc.is_valid(labelled["dropped"]).to_numpy()
    return labelled.filter(pa.array(~gone)), gone


def _entries(
    texts: pa.ChunkedArray, language: pa.ChunkedArray, recipe: Recipe, matchers: Matchers
) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """The list of each text, and its entries there."""
    files = {name: str(file) for name, file in matchers.files().items()}
    lists, entries = [], []
    for start in range(0, len(texts), BATCH):
        here = language[start : start + BATCH].combine_chunks()
        lists.append(choose_list(here, list(files), recipe.language.identify == "none" or recipe.language.match_first))
        text = texts[start : start + BATCH].combine_chunks()
        entries.append(match_by_list(text, lists[-1], recipe.match.engine, files))
    return pa.chunked_array(lists, pa.string()), pa.chunked_array(entries, pa.list_(pa.int32()))


def near_duplicates(pairs: Pairs, options: Dedupe, clock: Clock) -> None:
    """Sets what near-duplicates leave of each pair."""
    pairs.kept = np.ones(len(pairs.weight))
    if options.scope == "none" or not len(pairs.weight):
        return
    with clock.of("dedupe"):
        clusters = _clusters(pairs.rows, options)
    pieces = pairs.rows["piece"].to_numpy()
    pairs.kept = shares(clusters, pieces, pairs.near, pairs.rate, float(options.keep_per_cluster))
    alone = shares(clusters, pieces, pairs.near, pairs.rate, 1.0)
    pairs.clustered = float(pairs.weight @ np.minimum(1.0, 2 * (1 - alone)))  # as if of two each


def _clusters(rows: pa.Table, options: Dedupe) -> np.ndarray:
    """The number of each row's cluster among the rows."""
    bands, rows_a_band = bands_and_rows(options.threshold, options.permutations)
    permutations = coefficients(options.permutations)
    normal, where = normal_texts(rows["text"].combine_chunks(), options.min_words)
    scopes = np.zeros(len(where), np.int64)
    if options.scope == "image":
        scopes = hashes(rows["url"].combine_chunks())[where]
    high, low = digests(normal, scopes)
    first = first_of_equal(high, low)
    heads = np.flatnonzero(first == np.arange(len(first)))
    hashed = []
    for start in range(0, len(heads), BATCH):
        part = heads[start : start + BATCH]
        signed = signatures(normal.take(pa.array(part)), permutations, options.shingle, options.shingle_by)
        hashed.append(band_hashes(signed, bands, rows_a_band, scopes[part]).ravel())
    found = np.concatenate(hashed) if hashed else np.zeros(0, np.int64)
    a, b = distinct_pairs(*candidate_pairs(found, np.repeat(heads, bands), np.repeat(low[heads], bands)))
    near = jaccards(normal.take(pa.array(a)), normal.take(pa.array(b)), options.shingle, options.shingle_by)
    near = near >= options.threshold
    others = np.flatnonzero(first != np.arange(len(first)))
    cluster = np.arange(len(rows))
    nodes, smallest = stars(np.concatenate([a[near], others]), np.concatenate([b[near], first[others]]))
    cluster[where[nodes]] = where[smallest]
    return cluster

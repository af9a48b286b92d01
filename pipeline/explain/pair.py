"""The way of one pair through the stages: where it is, or where it went and why."""

from typing import Any

import numpy as np

from pipeline.balance.draw import NOT_DRAWN, OTHER_TEXT, OVER_CAP
from pipeline.balance.texts.ids import smallest_of_image
from pipeline.explain.asked import Set
from pipeline.explain.entries import entries_of, group_factor, keep_probability, list_sizes
from pipeline.explain.images import fetched, looked_at, shard_of, text_reasons
from pipeline.explain.near import cluster_of
from pipeline.recipe import filters
from pipeline.shards.tar import sample_key

IN_SET, DROPPED, ON_ITS_WAY = "in the set", "dropped", "on its way"
UNSEEN = ("not_scored", "filtered", "rare_ngram", "blocked_text", "evaluation_text", "not_best", "not_embedded",
          "semantic_duplicate")  # fmt: skip
OTHER = "other"  # the list for languages that have none
SHOWN = ("image_id", "url", "text", "language", "copies", "draw")


def tell(found: Set, pair_id: int) -> dict[str, Any] | None:
    """What there is to say of a pair, as plain values; None where the first table does not have it.

    ``state``, and of a dropped pair ``stage``, ``reason`` and ``why``; ``files``: where it lies.
    """
    pair = found.row(found.pool, pair_id)
    if pair is None:
        return None
    said = {"pair_id": pair_id, "key": sample_key(pair_id)}
    said |= {name: pair[name] for name in SHOWN if pair.get(name) is not None}
    said["files"] = [found.file_of(found.pool, pair_id)]
    for step in (_matched, _deduped, _balanced, _imaged, _filtered, _rebalanced, _sharded):
        if end := step(found, pair, said):
            return said | end
    return said | {"state": IN_SET}


def _gone(stage: str, reason: str, why: str) -> dict[str, Any]:
    return {"state": DROPPED, "stage": stage, "reason": reason, "why": why}


def _not_yet(found: Set, stage: str) -> dict[str, Any] | None:
    """The end of a pair at a stage that is not finished; None where it is."""
    return {"state": ON_ITS_WAY, "why": f"the stage {stage} is not finished"} if found.record(stage) is None else None


def _place(found: Set, table: str, said: dict[str, Any]) -> dict[str, Any] | None:
    """The row of the pair in a table, whose file is noted."""
    row = found.row(table, said["pair_id"])
    if row is not None and (file := found.file_of(table, said["pair_id"])) not in said["files"]:
        said["files"].append(file)
    return row


def _matched(found: Set, pair: dict[str, Any], said: dict[str, Any]) -> dict[str, Any] | None:
    if end := _not_yet(found, "match"):
        return end
    row = _place(found, "matched", said)
    if row is not None:
        pair |= row
        said |= {name: row[name] for name in ("language", "entry_list", "draw")}
        return None
    lists, language = list_sizes(found), found.recipe.language
    if language.match_first:
        return _gone("match", "no_match or language_not_kept", "no entry is in the text, or its language is not kept")
    chosen = next(iter(lists)) if language.identify == "none" else pair["language"]
    chosen = chosen if chosen in lists else OTHER if OTHER in lists else None
    if chosen is None:
        return _gone("match", "no_entry_list", f"language {pair['language']}; the lists are {', '.join(lists)}")
    return _gone("match", "no_match", f"none of the {lists[chosen]:,} entries of {chosen} is in the text")


def _deduped(found: Set, pair: dict[str, Any], said: dict[str, Any]) -> dict[str, Any] | None:
    if end := _not_yet(found, "dedupe"):
        return end
    row = _place(found, "clusters", said)
    if row is None:
        return None
    said["cluster"] = cluster = cluster_of(found, pair, row)
    if row["kept"]:
        return None
    if not cluster["kept"]:
        return _gone("dedupe", "near_duplicate", "those that were kept in its place were taken out later")
    nearest = cluster["kept"][0]
    near = f"Jaccard {nearest['jaccard']:.3f} with the kept pair {nearest['pair_id']}"
    if nearest["jaccard"] < cluster["threshold"]:
        near += f", below {cluster['threshold']}: near by way of others in the cluster"
    return _gone("dedupe", "near_duplicate", f"one of {cluster['members']:,} near-duplicates; {near}")


def _balanced(found: Set, pair: dict[str, Any], said: dict[str, Any]) -> dict[str, Any] | None:
    if end := _not_yet(found, "balance"):
        return end
    said["entries"] = entries_of(found, "entry_counts", pair["entry_list"], pair["entries"])
    options = found.recipe.balance
    share = keep_probability(said["entries"]) * group_factor(said["entries"])
    if options.mode == "random":
        share = found.record("balance")["notes"]["share"]
    elif options.mode == "none" and not said["entries"]:
        share = 1.0
    said["keep_probability"] = share
    if _place(found, "curated", said) is not None:
        return None
    if options.texts_per_image == "one" and (chosen := _chosen_text(found, pair)) != pair["pair_id"]:
        return _gone("balance", OTHER_TEXT, f"another text of the image was chosen: that of pair {chosen}")
    if options.texts_per_image == "one" and options.mode == "sample" and pair["draw"] < share:
        return _gone("balance", OTHER_TEXT, "another text of the image was chosen, which was taken out later")
    if options.mode == "cap":
        return _gone("balance", OVER_CAP, f"of none of its entries its draw {pair['draw']:.6f} is among the t smallest")
    if options.mode == "random":
        why = f"its draw {pair['draw']:.6f} is not among the {options.size:,} smallest"
        return _gone("balance", NOT_DRAWN, why)
    return _gone("balance", NOT_DRAWN, _missed(pair["draw"], said))


def _missed(draw: float, said: dict[str, Any]) -> str:
    why = f"its draw {draw:.6f} is not below its keep probability {said['keep_probability']:.6f}"
    if (factor := group_factor(said["entries"])) < 1:
        why += f", which is {factor:.6f} of what it would be: it names a group whose share is capped"
    return why


def _chosen_text(found: Set, pair: dict[str, Any]) -> int:
    """The pair of the one text of an image that may be drawn."""
    ids = []
    for pair_id in found.pairs_of("image_id", pair["image_id"]):
        row, cluster = found.row("matched", pair_id), found.row("clusters", pair_id)
        if row and row["image_id"] == pair["image_id"] and (cluster is None or cluster["kept"]):
            ids.append(pair_id)
    same = np.zeros(len(ids), np.int64)
    return int(smallest_of_image(same, same, np.array(ids, np.int64), found.recipe.seed)[0])


def _imaged(found: Set, pair: dict[str, Any], said: dict[str, Any]) -> dict[str, Any] | None:
    if not found.recipe.images.fetch:
        return None
    if end := _not_yet(found, "images"):
        return end
    said["image"] = image = fetched(found, pair["image_id"])
    if image is None or image["status"] == "success":
        return None
    error = f": {image['error']}" if "error" in image else ""
    return _gone("images", image["status"], f"the image did not come{error}")


def _filtered(found: Set, pair: dict[str, Any], said: dict[str, Any]) -> dict[str, Any] | None:
    if not filters(found.recipe):
        return None
    if end := _not_yet(found, "filter"):
        return end
    looked = looked_at(found, pair["image_id"])
    if looked:
        said["image"] = (said.get("image") or {}) | looked
    if _place(found, "filtered", said) is not None:
        return None
    if broken := text_reasons(found, pair):
        return _gone("filter", *broken[0])
    counted = found.record("filter")["dropped"]
    # Rules that come before those for images, and leave nothing behind but a number.
    unseen = [reason for reason in UNSEEN if reason in counted]
    if looked and "dropped" in looked:
        instead = looked.get("kept_instead")
        why = f"kept instead: {', '.join(instead)}" if instead else "its image is so"
        why += f"; or a rule that is not kept by pair came first: {', '.join(unseen)}" if unseen else ""
        return _gone("filter", looked["dropped"], why)
    return _gone("filter", " or ".join(unseen or counted), "which of these is not kept by pair")


def _rebalanced(found: Set, pair: dict[str, Any], said: dict[str, Any]) -> dict[str, Any] | None:
    if found.recipe.rebalance is None:
        return None
    if end := _not_yet(found, "rebalance"):
        return end
    said["entries"] = entries_of(found, "final_entry_counts", pair["entry_list"], pair["entries"])
    said["first_keep_probability"] = said["keep_probability"]
    said["keep_probability"] = keep_probability(said["entries"]) * group_factor(said["entries"])
    if _place(found, "final", said) is not None:
        return None
    return _gone("rebalance", NOT_DRAWN, _missed(pair["draw"], said))


def _sharded(found: Set, pair: dict[str, Any], said: dict[str, Any]) -> dict[str, Any] | None:
    images = found.recipe.images
    if not (images.fetch or images.root or images.tars):
        return None
    if end := _not_yet(found, "shards"):
        return end
    said["shard"] = place = shard_of(found, said["pair_id"])
    if place is not None:
        said["files"].append(place["shard"])
        return None
    reasons = found.record("shards")["dropped"]
    return _gone("shards", " or ".join(reasons) or "?", "its image could not be put into a shard")

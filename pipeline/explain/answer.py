"""The answer to ``explain``: the pairs that were asked for, each with its way, or what can be said of none."""

from typing import Any

import pyarrow as pa

from pipeline.buckets.hashing import pair_ids
from pipeline.errors import UsageError
from pipeline.explain.asked import KINDS, Set, as_image_id, as_number, checked_image_id, clean_url, kind_of
from pipeline.explain.pair import tell
from pipeline.explain.removed import taken_out
from pipeline.shards.tar import sample_key


def answer(found: Set, what: str, kind: str | None = None, text: str | None = None, most: int = 20) -> dict[str, Any]:
    """What was asked, how many pairs it is (``found``), and the first ``most`` of them by pair_id.

    ``kind``: what it is taken for, by its form where it is not given. ``text``: with a URL, the pair of the two alone.
    """
    kind = kind or kind_of(what)
    if kind not in KINDS:
        raise UsageError(f"--as {kind}: allowed are {', '.join(KINDS)}")
    if text is not None and kind != "url":
        raise UsageError(f"--text: is for a URL, found {kind} {what!r}")
    told: dict[str, Any] = {"asked": what, "as": kind}
    url = clean_url(what) if kind == "url" else None
    if kind == "url" and text is not None:
        ids = [int(pair_ids(pa.array([url]), pa.array([text]))[0])]
    elif kind in ("pair_id", "key"):
        ids = [as_number(kind, what)]
    elif kind == "text":
        ids = found.pairs_of("text", what)
    else:
        image_id = checked_image_id(what) if url is None else as_image_id(url)
        told["image_id"] = image_id
        ids = found.pairs_of("image_id", image_id)
    pairs, count = [], 0
    for pair_id in ids:
        if len(pairs) < most:
            pair = tell(found, pair_id)
            if pair is not None and _is_it(pair, url, text, what if kind == "text" else None):
                pairs.append(pair)
                count += 1
        else:
            count += 1
    told |= {"found": count, "pairs": pairs}
    if not count:
        if len(ids) == 1:
            told |= {"pair_id": ids[0], "key": sample_key(ids[0])}
        told["not_found"] = never_there(found)
        told |= _removed(found, kind, what if url is None else url, text, told)
    return told


def _is_it(pair: dict[str, Any], url: str | None, text: str | None, only_text: str | None) -> bool:
    """Whether a pair that a hash found is what was asked for."""
    wanted = (("url", url), ("text", text), ("text", only_text))
    return all(value is None or pair[name] == value for name, value in wanted)


def _removed(found: Set, kind: str, what: str, text: str | None, told: dict[str, Any]) -> dict[str, Any]:
    """When it was taken out, and by which tombstone, where it was."""
    values = {name: told[name] for name in ("image_id", "pair_id") if name in told}
    values |= {"url": what} if kind == "url" else {"text": what} if kind == "text" else {}
    if text is not None:
        values["text"] = text
    when = taken_out(found.output.folder, values)
    return {"removed": when} if when else {}


def never_there(found: Set) -> dict[str, Any]:
    """What can be said of what is not in the first table: how many rows were dropped before it, and why."""
    said: dict[str, Any] = {
        "table": found.pool,
        "why": f"it is not in {found.pool}: it was not in the input, or was dropped before; the input is not kept, and "
        "rows that are dropped there are counted by reason alone (a URL or text is found as the pool has it, character "
        "by character)",
    }
    for stage in ("extract", "ingest", *(["match"] if found.pool == "matched" else [])):
        record = found.record(stage)
        if record is not None:
            said[f"dropped_in_{stage}"] = record["dropped"]
            if damaged := record["notes"].get("damaged_files"):
                said["damaged_files"] = damaged
    return said

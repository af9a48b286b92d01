"""The answer to ``explain`` as trees for a person."""

from collections.abc import Iterator
from typing import Any

from rich.markup import escape
from rich.tree import Tree

from pipeline.explain.pair import DROPPED, IN_SET

LONGEST, MOST_KEPT = 120, 5


def trees(told: dict[str, Any]) -> Iterator[Tree]:
    """A tree for each pair; one that says why where there is none."""
    for pair in told["pairs"]:
        yield _pair(pair)
    if "not_found" in told:
        yield _nowhere(told)


def summary(told: dict[str, Any]) -> str:
    """The last line: how many pairs there are."""
    shown, count = len(told["pairs"]), told["found"]
    if not count:
        return f"Nothing found ({told['as']})"
    more = f"; the first {shown} by pair_id are shown, --most shows more" if shown < count else ""
    return f"{count:,} pair{'s' if count > 1 else ''} found ({told['as']}){more}"


def _pair(pair: dict[str, Any]) -> Tree:
    colour = {IN_SET: "green", DROPPED: "red"}.get(pair["state"], "yellow")
    state = pair["state"] + (f" by {pair['stage']}: {pair['reason']}" if pair["state"] == DROPPED else "")
    tree = Tree(f"[bold]{pair['key']}[/bold] [{colour}]{escape(state)}[/{colour}]")
    if "why" in pair:
        tree.add(f"why: {escape(_short(pair['why'], 3 * LONGEST))}")
    tree.add(f"url: {escape(_short(pair['url']))}")
    tree.add(f"text: {escape(_short(pair['text']))}")
    ids = f"pair_id {pair['pair_id']}, image_id {pair['image_id']}"
    tree.add(f"{ids}, language {escape(str(pair.get('language')))}")
    if (copies := pair.get("copies") or 1) > 1:
        tree.add(f"copies: {copies:,} rows of the input were this pair; {copies - 1:,} were dropped as duplicate")
    tree.add(f"in: {escape(', '.join(pair['files']))}")
    if "cluster" in pair:
        _cluster(tree, pair["cluster"], pair["pair_id"])
    if "entries" in pair:
        _entries(tree, pair)
    if pair.get("image"):
        image = ", ".join(f"{name} {value}" for name, value in pair["image"].items() if name not in ("url", "image_id"))
        tree.add(f"image: {escape(_short(image, 3 * LONGEST))}")
    if place := pair.get("shard"):
        members = (f"{kind} at {place[f'{kind}_offset']:,}" for kind in ("image", "txt", "json"))
        tree.add(f"shard: {escape(place['shard'])}, {', '.join(members)}")
    return tree


def _cluster(tree: Tree, cluster: dict[str, Any], pair_id: int) -> None:
    stays = "stays" if cluster["kept_here"] else "goes"
    branch = tree.add(f"near-duplicates: {cluster['members']:,} in the cluster, of which this one {stays}; kept are")
    others = [line for line in cluster["kept"] if line["pair_id"] != pair_id]
    for line in others[:MOST_KEPT]:
        branch.add(f"Jaccard {line['jaccard']:.3f}: {line['pair_id']} {escape(_short(line['text']))}")
    if len(others) > MOST_KEPT:
        branch.add(f"and {len(others) - MOST_KEPT:,} more")


def _entries(tree: Tree, pair: dict[str, Any]) -> None:
    draw = f"draw {pair['draw']:.6f}, keep probability {pair['keep_probability']:.6f}"
    of_list = f" of {escape(pair['entry_list'])}" if pair["entry_list"] else ""
    branch = tree.add(f"{'' if pair['entries'] else 'no '}entries{of_list}: {draw}")
    for entry in pair["entries"]:
        capped = f", of a capped group: times {entry['group_factor']:.6f}" if entry.get("group_factor", 1) < 1 else ""
        numbers = f"{entry['count']:,} pairs, probability {entry['probability']:.6f}{capped}"
        branch.add(f"{escape(entry['entry'])}: {numbers}")


def _nowhere(told: dict[str, Any]) -> Tree:
    state = "removed" if "removed" in told else "not found"
    tree = Tree(f"[bold]{escape(_short(told['asked']))}[/bold] [red]{state}[/red]")
    ids = [f"{name} {told[name]}" for name in ("image_id", "pair_id", "key") if name in told]
    if ids:
        tree.add(", ".join(ids))
    if "removed" in told:
        tree.add(f"why: it was taken out on {told['removed']['when']}, by its {told['removed']['by']}")
        return tree
    said = told["not_found"]
    tree.add(said["why"])
    for name, dropped in said.items():
        if name.startswith("dropped_in_"):
            reasons = ", ".join(f"{rows:,} {reason}" for reason, rows in dropped.items()) or "nothing"
            tree.add(f"{name.replace('_', ' ')}: {escape(reasons)}")
    if damaged := said.get("damaged_files"):
        tree.add(f"damaged files: {escape(', '.join(line['file'] for line in damaged[:MOST_KEPT]))}")
    return tree


def _short(text: str, longest: int = LONGEST) -> str:
    """A text on one line."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"

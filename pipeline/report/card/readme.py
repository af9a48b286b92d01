"""The README of a finished output: a dataset card of the Hugging Face Hub, header and text."""

from pipeline.report.card.columns import meaning, type_name
from pipeline.report.card.contents import Contents
from pipeline.report.card.header import header, languages
from pipeline.report.card.known import licence, limits, personal_data
from pipeline.report.card.loading import loading

MOST_LANGUAGES = 20
CITATION = """\
@inproceedings{xu2024demystifying,
  title = {Demystifying {CLIP} Data},
  author = {Hu Xu and Saining Xie and Xiaoqing Ellen Tan and Po-Yao Huang and Russell Howes and Vasu Sharma and
            Shang-Wen Li and Gargi Ghosh and Luke Zettlemoyer and Christoph Feichtenhofer},
  booktitle = {International Conference on Learning Representations},
  year = {2024},
  url = {https://arxiv.org/abs/2309.16671}
}

@inproceedings{chuang2025metaclip2,
  title = {Meta {CLIP} 2: A Worldwide Scaling Recipe},
  author = {Yung-Sung Chuang and Yang Li and Dong Wang and Ching-Feng Yeh and Kehan Lyu and Ramya Raghavendra and
            James Glass and Lifei Huang and Jason Weston and Luke Zettlemoyer and Xinlei Chen and Zhuang Liu and
            Saining Xie and Wen-tau Yih and Shang-Wen Li and Hu Xu},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2025},
  url = {https://arxiv.org/abs/2507.22062}
}"""
MODES = {
    "sample": "A pair is kept with the probability 1 - prod(1 - min(1, t / count)) over the entries of its text.",
    "cap": "An entry keeps t of its pairs, those of smallest `draw`; a pair stays if one of its entries keeps it.",
    "none": "Nothing was balanced: all pairs are here, with the probability by which balancing would keep each.",
    "random": "Nothing was balanced: as many pairs were chosen as the recipe says, those of smallest `draw`.",
}


def readme(contents: Contents) -> str:
    """The text of ``README.md``."""
    sections = [("How it was made", _stages(contents))]
    if contents.chosen:
        sections += [("Fields", _fields(contents)), ("How to load it", loading(contents))]
    if contents.note("t"):
        sections += [("How it was balanced", _balance(contents)), ("Languages", _languages(contents))]
    sections += [("What is here", _tables(contents)), ("Licence and credit", licence(contents.recipe))]
    sections += [("Known limits", limits(contents)), ("Personal data and opting out", personal_data(contents.recipe))]
    sections.append(("Citation", f"The method is that of\n\n```bibtex\n{CITATION}\n```"))
    body = "\n".join(f"## {title}\n\n{text}\n" for title, text in sections)
    return f"{header(contents)}\n# {contents.recipe.name}\n\n{_summary(contents)}\n\n{body}"


def _summary(contents: Contents) -> str:
    first = "Image-text pairs for training CLIP models, "
    if contents.chosen:
        first = f"{contents.rows(contents.chosen):,} image-text pairs for training CLIP models, "
    first += "curated the [MetaCLIP](https://arxiv.org/abs/2309.16671) way"
    if contents.stages:
        rows = f"{contents.stages[0]['in']:,}"
        first += f" from {rows} image links of a crawl" if contents.stage("extract") else f" from a pool of {rows} rows"
    what = ". A pair is the URL of an image and a text, both as they stood there."
    if contents.shards:
        shards = "1 shard" if contents.shards == 1 else f"{contents.shards:,} shards"
        what += f" The images are here too, in {shards} of `webdataset`."
    elif contents.chosen:
        what += " The images themselves are not here."
    plot = ["![Matches by entry, before and after](distribution.png)"] if contents.with_plot else []
    return "\n\n".join([f"{first}{what}", *plot])


def _stages(contents: Contents) -> str:
    lines = ["| stage | in | dropped | out |", "|---|---:|---|---:|"]
    for stage in contents.stages:
        dropped = ", ".join(f"{rows:,} {reason}" for reason, rows in stage["dropped"].items()) or "none"
        lines.append(f"| {stage['stage']} | {stage['in']:,} | {dropped} | {stage['out']:,} |")
    lines += ["", "The recipe is in `recipe.yaml`, the figures are in `summary.json`."]
    if contents.removals:
        lines += ["", _removals(contents)]
    return "\n".join(lines)


def _removals(contents: Contents) -> str:
    pairs, images = (sum(line[name] for line in contents.removals) for name in ("pairs", "images"))
    times = "once" if len(contents.removals) == 1 else f"{len(contents.removals):,} times"
    return (
        f"{pairs:,} pairs and {images:,} images were taken out later, {times}, last on "
        f"{contents.removals[-1]['when'][:10]}. `removals.json` says when and how many; what it was is not kept."
    )


def _fields(contents: Contents) -> str:
    passed, table = contents.recipe.input.pass_through, contents.chosen
    lines = [f"Of the table `{table}`:", "", "| column | type | meaning |", "|---|---|---|"]
    for column in contents.schemas.get(table, ()):
        name = column.name.replace("|", "\\|").replace("\n", " ")
        lines.append(f"| `{name}` | {type_name(column.type)} | {meaning(table, column.name, passed)} |")
    return "\n".join(lines)


def _balance(contents: Contents) -> str:
    mode = contents.stage("balance")["mode"] if contents.stage("balance") else "sample"
    parts = [
        "Every text is matched with a list of entries (words, phrases, titles). An entry that more than t pairs match "
        "is thinned out to about t of them, so that rare ones show.",
        MODES[mode],
    ]
    if contents.recipe.balance.domain:
        parts.append(f"Entries of the domain have a t of their own, {contents.recipe.balance.domain.t:,g}.")
    for group in contents.recipe.balance.groups:
        has = f"a t of their own, {group.t:,g}" if group.share is None else f"at most {group.share:.2%} of the pairs"
        parts.append(f"Entries of the group {group.group} (`{group.terms}`) have {has}.")
    if contents.recipe.balance.texts_per_image == "one":
        parts.append("One text of each image was chosen first.")
    if contents.stage("rebalance"):
        parts.append(
            "It was balanced twice: first from the pool, then over the pairs that were fetched and passed the filter."
        )
    parts.append("The tail share is the share of matches that are of entries with fewer than t.")
    return " ".join(parts)


def _languages(contents: Contents) -> str:
    t, shares, kept = contents.note("t"), contents.note("tail_share", {}), contents.note("kept", {})
    names = sorted(t, key=lambda name: (-kept.get(name, 0), name))
    table, thresholds = ("final", "final_thresholds") if contents.stage("rebalance") else ("curated", "thresholds")
    lines = [f"| list | pairs in `{table}` | t | tail share |", "|---|---:|---:|---:|"]
    for name in names[:MOST_LANGUAGES]:
        lines.append(f"| `{name}` | {kept.get(name, 0):,} | {t[name]:,.10g} | {shares.get(name, 0):.4f} |")
    if more := names[MOST_LANGUAGES:]:
        rest = sum(kept.get(name, 0) for name in more)
        lines += ["", f"And {len(more)} more lists with {rest:,} pairs, in the table `{thresholds}`."]
    if not languages(contents) and contents.recipe.language.identify == "none":
        lines += ["", "Languages were not identified: all texts were matched with one list."]
    return "\n".join(lines)


def _tables(contents: Contents) -> str:
    lines = ["| folder | what |", "|---|---|", *(f"| `{name}/` | {what} |" for name, what in contents.tables.items())]
    if contents.shards and contents.shards_folder != "shards":
        lines += ["", f"The tars are in `{contents.shards_folder}`; `shards/` has the lists of them."]
    said = (
        "`manifest.json` lists every file with its rows and SHA-256; `croissant.json` describes the tables for programs"
    )
    return "\n".join([*lines, "", f"{said} (MLCommons Croissant)."])

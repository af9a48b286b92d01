"""What should be known before a set is used or passed on: licence, limits, personal data; from the recipe alone."""

from pipeline.recipe import Recipe
from pipeline.report.card.contents import Contents


def licence(recipe: Recipe) -> str:
    """Licence and credit, as far as the recipe tells them."""
    if recipe.license in (None, "unknown"):
        first = (
            "The recipe names no licence for the set. Texts and images remain under the terms of those who made them."
        )
    elif recipe.license == "other":
        first = f"Licence: {' '.join(filter(None, [recipe.license_name or 'other', recipe.license_link]))}."
    else:
        first = f"Licence: `{recipe.license}`."
    # Quoted, so that nothing in it reaches into what follows.
    credit = "\n".join(f"> {line}".rstrip() for line in (recipe.credit or "").strip().splitlines())
    return "\n\n".join(filter(None, [first, credit]))


def limits(contents: Contents) -> str:
    """What the set is not."""
    recipe, rules = contents.recipe, contents.recipe.filter
    found = ["Alt-texts are as people wrote them for pages: many say little of the image, some are wrong."]
    found.append("Entries are found as strings: a word with two meanings is one entry.")
    if recipe.language.identify == "fasttext":
        found.append("Languages were identified by a model, which errs most with short texts.")
    elif recipe.language.identify == "column":
        found.append("Languages are those that the pool names.")
    if recipe.dedupe.scope == "none":
        found.append("Near-duplicate texts were left in.")
    if not (rules.exact_duplicates or rules.near_duplicates is not None or rules.semantic):
        found.append("An image may be here under several URLs: images were not compared.")
    if not rules.evaluation:
        found.append("The set was not held against any evaluation set.")
    if not rules.blocklist and rules.where is None:
        found.append("Nothing was filtered for safety: expect all that the pool has.")
    if contents.chosen and not contents.shards:
        found.append("URLs stop working with time, and may show another image by now.")
    return "\n".join(f"- {line}" for line in found)


def personal_data(recipe: Recipe) -> str:
    """What was done for people who are shown or named, and for those who opted out."""
    found = ["Texts may name people, and images may show them; nobody was asked for consent here."]
    if recipe.shards.blur is not None:
        found.append(
            f"Regions that the column `{recipe.shards.blur}` marks (faces, as a rule) are blurred in the shards."
        )
    if recipe.input.format in ("wat", "warc"):
        if recipe.extract.opt_outs:
            found.append("Pages that say noai, noimageai, noindex, noimageindex or tdm-reservation were left out.")
        else:
            found.append("Pages that opt out of such use were not left out.")
    if recipe.images.fetch:
        hosts = (
            "and hosts' robots.txt and tdmrep.json were followed"
            if recipe.images.ask_hosts
            else "robots.txt was not read"
        )
        found.append(f"Images whose answer opted out (X-Robots-Tag, tdm-reservation) were not taken; {hosts}.")
    elif recipe.input.format not in ("wat", "warc"):
        found.append("Whether the pool respects opt-outs is for its makers to say: this run asked no page or host.")
    found.append("Who publishes the set should say here whom to ask for a removal.")
    return " ".join(found)

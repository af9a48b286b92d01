"""Small dumps in MediaWiki's export format, and what a plain counter makes of them."""

import random
from collections import Counter
from xml.sax.saxutils import escape

from pipeline.entries.build.segment import runs
from pipeline.entries.build.wikitext import plain_text

WORDS = "the of a red old golden retriever dog river house stone bridge north south garden gate light rain".split()


def pages(count, seed=0):
    """Titles and wikitexts."""
    rng = random.Random(seed)
    for i in range(count):
        lines = [" ".join(rng.choices(WORDS, range(len(WORDS), 0, -1), k=rng.randint(3, 12))) for _ in range(8)]
        lines[2] += ". [[golden gate|Golden Gate]], '''bold''' {{cite|title=never counted}}<ref>nor this</ref>"
        yield (
            f"Page {i}",
            "== Heading ==\n" + "\n\n".join(lines) + "\n[[Category:Left out]]\n[[File:X.jpg|thumb|left out]]",
        )


def page(title, text, ns=0, redirect=""):
    return (
        f"  <page>\n    <title>{title}</title>\n    <ns>{ns}</ns>\n    <id>1</id>\n{redirect}"
        f'    <revision>\n      <id>2</id>\n      <text bytes="1" xml:space="preserve">{escape(text)}</text>\n    </revision>\n  </page>\n'
    )


def dump(count, seed=0):
    body = "".join(page(*found) for found in pages(count, seed))
    body += page("Talk:X", "not counted", ns=1) + page("R", "#REDIRECT [[X]]", redirect='    <redirect title="X" />\n')
    body += page("Empty", "{{only|a template}}")
    return f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" xml:lang="en">\n  <siteinfo/>\n{body}</mediawiki>\n'


def expected(count, seed=0):
    words, pairs = Counter(), Counter()
    for _, text in pages(count, seed):
        for run in runs(plain_text(text), "en"):
            words.update(run)
            pairs.update(zip(run, run[1:], strict=False))
    return words, pairs

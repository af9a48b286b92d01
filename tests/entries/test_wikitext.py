"""What a reader sees of a page, and the pages that are left out."""

import pytest

from pipeline.entries.build.wikitext import page_text, plain_text
from tests.entries.dumps import page


def test_plain_text():
    text = plain_text(
        "'''Anarchism''' is a [[political philosophy|philosophy]]{{sfn|x}}.<ref name=a>no</ref> See [[File:a.jpg|thumb|no]] here."
        "\n== Heading ==\n* item [http://x.test link]\n{| class=x\n|no\n|}\n[[Category:No]] [[de:Nein]] <math>x^2</math> a &amp; b __NOTOC__"
    )
    for word in ("Anarchism", "philosophy", "Heading", "item", "link", "a & b", "here"):
        assert word in text
    for word in ("no", "Category", "Nein", "x^2", "sfn", "__", "''", "thumb", "political"):
        assert word not in text


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (page("T", "text")[:-9], None),
        (page("T", "text", ns=4)[:-9], "not_an_article"),
        (page("T", "x", redirect="<redirect title='x'/>")[:-9], "redirect"),
        (page("T", "{{x}}")[:-9], "no_text"),
        ("<page><title>x", "unreadable_page"),
        ("\n</mediawiki>\n", "no_page"),
    ],
)
def test_pages(record, reason):
    text, why = page_text(record)
    assert why == reason
    assert (text is None) == (why is not None)

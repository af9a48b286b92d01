"""The pages in headless Chromium: they load without errors or requests, work by keyboard, and run nothing of the data."""

import collections
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline.report.page.diff import write_diff
from pipeline.report.page.report import write_report
from tests.report import hostile
from tests.report.made import opened, write_output, zipf_pairs

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
LISTS = {"en": [f"word{i}" for i in range(400)], "de": [f"wort{i}" for i in range(300)]}
SECTIONS = ["Stages", "Balance", "Entries", "Languages", "Texts", "Duplicates", "Images", "Recipe"]
# What a page is built of: each element's name with the names of its attributes, and how often.
BUILT_OF = """() => Object.entries(Object.groupBy([...document.querySelectorAll("*")],
  (e) => e.tagName + " " + [...e.attributes].map((a) => a.name).sort().join(" "))).map(([k, v]) => [k, v.length])"""


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as found:
        running = found.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def visit(browser):
    """Opens a page and holds what went wrong against none: console errors, requests, dialogs."""
    wrong, contexts = [], []

    def opened_page(path, width=1280, scheme="light", ready="#recipe"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
        ours = (Path(path).as_uri(), (Path(path).parent / "report-entries").as_uri(), "data:", "blob:")
        page.on("request", lambda request: None if request.url.startswith(ours) else wrong.append(request.url))
        page.goto(Path(path).as_uri())
        page.wait_for_selector(ready)
        page.set_default_timeout(8000)
        return page

    yield opened_page
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_output(tmp_path_factory.mktemp("browser") / "output", LISTS, zipf_pairs(LISTS, 2000))


@pytest.fixture(scope="module")
def report(made):
    return write_report(opened(made))


def see_entries(page):
    """Entries are unpacked when they come into sight."""
    page.locator("#entries").scroll_into_view_if_needed()
    page.wait_for_selector("#entry-results table")


def test_a_report_shows_all_its_sections(report, visit):
    page = visit(report)
    assert page.locator("h2").all_inner_texts() == SECTIONS
    assert page.locator("svg.plot").count() >= 8
    shown = page.evaluate("() => [...document.querySelectorAll('.images img')].map((i) => (i.loading = 'eager', i.decode().then(() => i.naturalWidth)))")  # fmt: skip
    assert len(shown) == 100
    page.wait_for_function("() => [...document.querySelectorAll('.images img')].every((i) => i.naturalWidth > 0)")


def test_search_finds_an_entry_and_shows_its_pairs(report, made, visit):
    page = visit(report)
    page.fill("#entry-search", "WORD1")
    row = page.locator("#entry-results tbody tr", has=page.get_by_role("button", name="word1", exact=True))
    row.wait_for()
    entries = opened(made).entries
    at = entries.starts["en"] + 1
    cells = row.locator("td").all_inner_texts()
    assert cells[:3] == ["word1", "en", f"{int(entries.count[at]):,}"]
    assert cells[4] == f"{int(entries.kept[at]):,}"
    row.get_by_role("button").click()
    samples = page.locator("#entry-results .samples li")
    samples.first.wait_for()
    assert all("word1" in text for text in samples.all_inner_texts())
    assert page.locator("#entry-results .samples img").count() > 0
    page.select_option("#entry-list", "de")
    page.get_by_text("No entry with a match has this in its name").wait_for()


def test_the_slider_moves_by_keyboard(report, visit):
    page = visit(report)
    before, drawn = page.inner_text("#what-if-outcome"), page.locator("#balance .drawing svg").first.inner_html()
    page.focus("#what-if")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    after = page.inner_text("#what-if-outcome")
    assert before != after
    assert "would keep" in after
    assert page.get_attribute("#what-if", "aria-valuetext") == after.split(" would")[0]
    assert page.locator("#balance .drawing svg").first.inner_html() != drawn


def test_all_controls_are_reached_by_keyboard(report, visit):
    page = visit(report)
    see_entries(page)
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("() => document.activeElement.id || document.activeElement.tagName"))
    assert {"balance-list", "what-if", "entry-search", "entry-list", "BUTTON", "A"} <= seen


def test_languages_are_sorted_by_their_heads(report, visit):
    page = visit(report)
    page.locator("#languages").get_by_role("button", name="List").click()
    page.locator("#languages").get_by_role("button", name="List").click()
    names = page.locator("#languages tbody tr td:first-child").all_inner_texts()
    assert names in (["de", "en"], ["en", "de"])
    assert page.locator("#languages th[aria-sort]").count() == 1


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (1280, "dark"), (768, "light")])
def test_widths_and_colours(report, visit, width, scheme):
    page = visit(report, width, scheme)
    see_entries(page)
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    light = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Switch to").click()
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") != light


def test_files_beside_the_page_are_loaded_when_asked_for(tmp_path, visit, monkeypatch):
    made = write_output(tmp_path / "output", LISTS, zipf_pairs(LISTS, 800), images=False)
    size = Path(write_report(opened(made))).stat().st_size
    monkeypatch.setattr("pipeline.report.page.report.MOST_CHARACTERS", size - 400)
    monkeypatch.setattr("pipeline.report.page.entries.IN_FILE", 30)
    page = visit(write_report(opened(made)))
    entries = opened(made).entries
    rare = entries.names[int(np.flatnonzero(entries.count == 1)[-1])].as_py()
    page.fill("#entry-search", rare)
    page.get_by_text("No entry with a match has this in its name").wait_for()
    page.get_by_role("button", name="Load the rest").click()
    page.get_by_role("button", name=rare, exact=True).wait_for()


def test_the_difference_of_two(made, tmp_path, visit):
    other = write_output(tmp_path / "other", LISTS, zipf_pairs(LISTS, 2000)[300:], t=9, images=False)
    page = visit(write_diff(opened(made), opened(other), str(tmp_path / "diff.html")))
    assert page.locator("h2").all_inner_texts() == ["Pairs", "Balance", "Entries", "Languages", "Stages", "Recipe"]
    assert page.locator("#pairs .samples li").count() > 20
    assert "balance.t" in page.inner_text("#recipe")


def pairs_of(values: list[str]) -> list[dict]:
    """Each value as text, URL and entry; some as near-duplicates."""
    found = []
    for at, value in enumerate(values):
        pair = {"url": value or "u:", "text": f"{value} {at}", "entry_list": "en", "entries": [at, len(values)]}
        found += [pair | {"cluster": f"c{at}"}, pair | {"cluster": f"c{at}", "text": f"{value} again {at}"}]
    return found


def test_hostile_data_builds_the_same_page_and_runs_nothing(tmp_path, visit):
    assert len(set(hostile.ALL)) >= 100
    built = []
    # As long, and hosts where there are hosts: what the drawings cut is the same.
    names = [f"https://h{at}" if value.startswith("http") else f"text{at}" for at, value in enumerate(hostile.ALL)]
    plain = [name.ljust(len(value), "x") for name, value in zip(names, hostile.ALL, strict=True)]
    for name, values in {"plain": plain, "hostile": hostile.ALL}.items():
        lists = {"en": [*values, "common"]}
        made = write_output(tmp_path / name, lists, pairs_of(values), t=1000)
        page = visit(write_report(opened(made)))
        see_entries(page)
        for button in page.locator("#entry-results tbody button").all()[:30]:
            button.click()
        assert page.evaluate("() => window.hacked") is None
        built.append(collections.Counter(dict(page.evaluate(BUILT_OF))))
        diff = visit(write_diff(opened(made), opened(made), str(tmp_path / f"{name}.html")))
        assert diff.evaluate("() => window.hacked") is None
    assert set(built[1]) <= set(built[0])  # no element, no attribute of its own
    # Texts that are blank, or equal but for what is not shown, may be fewer pieces; nothing may be more.
    more = built[1] - built[0]
    assert sum(more.values()) < 60, more
    assert not any(
        tag.split()[0] in ("SCRIPT", "IFRAME", "OBJECT", "EMBED", "FORM", "BASE", "LINK", "META") for tag in more
    )


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    """The accessibility rules of axe-core, from npm."""
    folder = tmp_path_factory.mktemp("axe")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm here to get axe-core with")
    got = subprocess.run([npm, "pack", "axe-core@4.14.1"], cwd=folder, capture_output=True, timeout=120, check=False)
    if got.returncode:
        pytest.skip("npm could not get axe-core")
    shutil.unpack_archive(folder / "axe-core-4.14.1.tgz", folder)
    return (folder / "package" / "axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["report", "diff"])
def test_axe_finds_no_serious_fault(report, made, tmp_path, browser, axe, scheme, which):
    path = report if which == "report" else write_diff(opened(made), opened(made), str(tmp_path / "diff.html"))
    context = browser.new_context(bypass_csp=True, color_scheme=scheme)
    page = context.new_page()
    page.goto(Path(path).as_uri())
    page.wait_for_selector("#recipe")
    page.evaluate(axe)
    found = page.evaluate("() => axe.run().then((r) => r.violations.map((v) => [v.impact, v.id, v.nodes.slice(0, 3).map((n) => n.html)]))")  # fmt: skip
    context.close()
    assert [one for one in found if one[0] in ("serious", "critical")] == []


@pytest.mark.slow
def test_half_a_million_entries_in_three_hundred_languages(tmp_path, visit):
    """The page stays small, and opens; how fast, it prints."""
    lists = {f"l{at:03d}": [f"{word}{at}" for word in syllables(1700, at)] for at in range(299)} | {
        "en": syllables(1700, 300)
    }
    pairs = [{"url": f"u:{name}/{at}", "text": f"{name} {at}", "entry_list": name, "entries": sorted({at, at // 2, at // 40, at // 300})}
             for name in lists for at in range(0, 1700)]  # fmt: skip
    made = write_output(tmp_path / "large", lists, pairs, t=40, images=False)
    path = Path(write_report(opened(made)))
    entries = int((opened(made).entries.count > 0).sum())
    assert entries == 300 * 1700
    assert path.stat().st_size < 5_000_000
    started = time.monotonic()
    page = visit(path)
    print(f"{entries:,} entries, {path.stat().st_size:,} bytes, opened in {time.monotonic() - started:.2f} s")
    name = lists["l123"][7]
    page.fill("#entry-search", name)
    page.get_by_role("button", name=name, exact=True).wait_for()


def syllables(count: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    parts = ["ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "va", "we", "zi"]
    found = {
        "".join(rng.choice(parts, rng.integers(2, 6))) + " " + "".join(rng.choice(parts, 2)) for _ in range(count * 2)
    }
    return sorted(found)[:count]

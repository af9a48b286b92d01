"""The card of an output: its header as the Hub and ``datasets`` read it, and its lines as a reader runs them."""

import glob
import subprocess

import pytest
import yaml
from huggingface_hub import DatasetCard

from pipeline.errors import UsageError
from pipeline.recipe_file import parse, validated
from pipeline.report.card.header import size_category
from pipeline.report.card.languages import hub_languages
from pipeline.report.card.readme import MOST_LANGUAGES, readme
from pipeline.stages import named
from tests.report.loaded import blocks, load
from tests.report.outputs import CURATED, contents, curated, image, recipe, with_shards, write


def header(text: str) -> dict:
    """The header as the Hub's library reads it, which is what YAML 1.1 and 1.2 read."""
    found = DatasetCard(text).data.to_dict()
    block = text.split("---\n")[1]
    assert text.startswith(f"---\n{block}---\n\n# ")
    assert yaml.safe_load(block) == parse(block, "card") == found
    return found


NAMES = [
    "1.5",
    "1e3",
    "2e4",
    "0o17",
    "017",
    "0x1F",
    "1_000",
    "12",
    "no",
    "y",
    "true",
    "null",
    "2026-11-26",
    "v1.0",
    "a-b_c.d",
]
CREDITS = [
    "a: b # c", "---", "- x\n---\ny: z\n", "---\nlicense: mit\n---\n", "\ta tab", "\" ' \\ \\n", "{a: [b", "%YAML 1.2", "&a *a",
    "!!python/object:os.system x", "a\u2028b\u0085c\ud7ff\ufeffd", "a\r\nb\rc", "\a\x1b[0m", "<script>alert(1)</script>", "🥐 für 猫",
    "| x", "> x", "@x", "`x`", "? x", "- ", ": ", "~", "null", "x" * 5000, "a\n\n\n  b\n",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_stay_texts(name):
    assert header(readme(contents(recipe(name=name))))["pretty_name"] == name


@pytest.mark.parametrize("credit", CREDITS, ids=ascii)
def test_credit_is_told_as_it_is(credit):
    found = header(readme(contents(recipe(credit=credit))))
    assert found["license_details"] == credit.strip()
    assert found["license"] == "unknown"
    assert set(header(readme(contents(recipe(credit=credit, license="cc-by-4.0"))))) == set(found) - {"license_details"}


LISTS = {
    "en": ("en", None), "EN": ("en", None), "eng": ("en", None), "ger": ("de", None), "iw": ("he", None), "no": ("no", None),
    "nb": ("nb", None), "zh": ("zh", None), "zh-Hant": ("zh", "zh-Hant"), "zh_hant_tw": ("zh", "zh-Hant-TW"),
    "zh_yue": ("yue", None), "zh-classical": ("lzh", None), "simple": ("en", "en-simple"), "als": ("gsw", None),
    "be-x-old": ("be", "be-tarask"), "nds-nl": ("nds", "nds-NL"), "map_bms": ("jv", "jv-x-bms"), "ceb": ("ceb", None),
    "und": (None, None), "mul": (None, None), "qaa": (None, None), "xx": (None, None), "words": (None, None),
    "other": ("multilingual", None),
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_lists_are_languages_of_the_hub(name):
    code, tag = LISTS[name]
    assert hub_languages([name]) == ([code] if code else [], [tag] if tag else [])
    found = header(readme(contents(recipe(entries={name: "x"}, balance={"t": {name: 3}}), {name: 10})))
    assert found.get("language", []) == ([code] if code else [])
    assert found.get("language_details", []) == ([tag] if tag else [])


def test_lists_that_kept_nothing_or_were_not_told_apart_are_no_languages():
    lists = recipe(entries={"en": "x", "de": "x"})
    assert header(readme(contents(lists, {"en": 10, "de": 0})))["language"] == ["en"]
    untold = readme(contents(recipe(language={"identify": "none"})))
    assert "language" not in header(untold)
    assert "Languages were not identified" in untold


def test_three_hundred_languages():
    letters = [chr(97 + i) for i in range(26)]
    names = [f"{a}{b}a" for a in letters[:12] for b in letters][:300]
    text = readme(
        contents(recipe(entries=dict.fromkeys(["en", *names], "x")), {name: i for i, name in enumerate(names, 1)})
    )
    found = header(text)
    assert len(found["language"]) > 280
    rows = [line for line in text.splitlines() if line.startswith("| `") and line.endswith(" 0.5000 |")]
    assert rows[0] == f"| `{names[-1]}` | 300 | 3 | 0.5000 |"
    assert len(rows) == MOST_LANGUAGES
    assert f"And {300 - MOST_LANGUAGES} more lists with {sum(range(1, 281)):,} pairs" in text


SIZES = {0: "n<1K", 999: "n<1K", 1000: "1K<n<10K", 31918: "10K<n<100K", 10**9 - 1: "100M<n<1B", 10**9: "1B<n<10B",
         10**12 - 1: "100B<n<1T", 10**12: "n>1T", 10**15: "n>1T"}  # fmt: skip


@pytest.mark.parametrize("rows", SIZES)
def test_size_categories(rows):
    assert size_category(rows) == SIZES[rows]
    assert header(readme(contents(recipe(), rows=rows)))["size_categories"] == [SIZES[rows]]


def test_licences():
    other = recipe(license="other", license_name="my-1.0", license_link="https://x.test/a b?c=d#e: f")
    found = header(readme(contents(other)))
    assert [found[key] for key in ("license", "license_name", "license_link")] == [
        "other",
        "my-1.0",
        other.license_link,
    ]
    assert "Licence: my-1.0 https://x.test/a b?c=d#e: f." in readme(contents(other))
    assert "names no licence" in readme(contents(recipe()))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"license": "CC BY 4.0"}, "license: found 'CC BY 4.0'; "),
        ({"license_name": "mine"}, "license_name: is for license other, found none"),
        ({"license": "mit", "license_link": "LICENSE"}, "license_link: is for license other, found mit"),
    ],
)
def test_licences_that_are_none(given, said):
    from pipeline.recipe import Recipe

    with pytest.raises(UsageError) as error:
        validated(Recipe, {"name": "x", "entries": {"en": "x"}, "balance": {"t": 1}} | given, "x")
    assert said in str(error.value)


def test_the_set_is_what_was_chosen_last():
    """``final`` where it is there, else ``filtered``, else ``curated``: the default, and what the lines load."""
    files, schemas, what = [], {}, {}
    for stage, table in (("balance", "curated"), ("filter", "filtered"), ("rebalance", "final")):
        what |= named(stage).tables
        files.append({"path": f"{table}/part-00000.parquet", "rows": 7, "sha256": "0" * 64, "bytes": 9})
        schemas[table] = CURATED
        text = readme(contents(recipe(), files=list(files), schemas=dict(schemas), tables=dict(what)))
        configs = header(text)["configs"]
        assert configs[0]["config_name"] == table
        assert [config["config_name"] for config in configs if config.get("default")] == [table]
        assert {config["config_name"] for config in configs} == set(schemas)
        assert all(f"'{table}/*.parquet'" in code for code in blocks(text, "sql"))
        assert f'load_dataset(folder, "{table}", split="train")' in blocks(text, "python")[0]
    assert "'final_entry_counts/*.parquet'" in blocks(text, "sql")[0]


SOURCES = {
    "none": ({}, ["The images themselves are not here", "this run asked no page or host"], ["in 3 shards"]),
    "root": ({"root": "/x", "prefix": "p://"}, ["in 3 shards", "this run asked no page or host"], ["robots.txt"]),
    "tars": ({"tars": ["/x"]}, ["in 3 shards", "this run asked no page or host"], ["robots.txt"]),
    "fetched": ({"fetch": True}, ["in 3 shards", "X-Robots-Tag", "robots.txt was not read"], ["asked no page"]),
    "asked": ({"fetch": True, "ask_hosts": True}, ["robots.txt and tdmrep.json were followed"], ["not read"]),
}


@pytest.mark.parametrize("source", SOURCES)
def test_what_is_said_of_the_images(source):
    images, told, untold = SOURCES[source]
    found = contents(recipe(images=images))
    text = readme(with_shards(found, 3, 25) if images else found)
    assert all(part in text for part in told)
    assert not any(part in text for part in untold)
    assert ("webdataset" in header(text)["tags"]) == bool(images)


PLACES = {
    "s3://key:secret@bucket/set": "s3://bucket/set",
    "s3://bucket/set?access_key=key&secret_key=secret": "s3://bucket/set",
    "sftp://user:secret@host/a set": "sftp://host/a set",
    "out/of the way": "out/of the way",
    "/data/a?b=c@d": None,
    "file:///data/set": None,
}


@pytest.mark.parametrize("folder", PLACES)
def test_shards_elsewhere(folder):
    """Lines run with a path of this machine; anything else is to be copied first. Nothing secret is told."""
    text = readme(with_shards(contents(recipe()), 2, 20, folder=folder))
    assert "secret" not in text
    place = PLACES[folder] or folder.removeprefix("file://")
    assert f"The tars are in `{place}`; " in text
    assert (f"They are in `{place}`: copy them from there into `shards/`." in text) == (PLACES[folder] is not None)
    tars = "shards" if PLACES[folder] else glob.escape(place)
    assert f'data_files="{tars}/*.tar"' in text


def test_the_lines_run_on_odd_outputs(tmp_path):
    """Samples of three formats, keys that come late, shards elsewhere under an odd name, one sample, no pairs.

    All in folders of one name and with one cache of ``datasets``, some of as many rows as another.
    """
    odd = tmp_path / 'it\'s a [set] "of" tärs'
    tables = [curated(45), curated(45, "cat"), curated(25), curated(1), curated(0)]
    folders = [tmp_path / str(number) / "out" for number in range(len(tables))]
    for folder, table in zip(folders, tables, strict=True):
        shards = odd if table.num_rows == 25 else folder / "shards" if table.num_rows else None
        write(folder, table, recipe(), shards)
    for folder, table, found in zip(folders, tables, load(folders, tmp_path / "caches"), strict=True):
        rows, count = table.to_pylist(), table.num_rows
        assert found["configs"] == {"curated": count, "entry_counts": 1} if count else {"entry_counts": 1}
        assert found["polars"] == ([["en", count]] if count else [])
        assert len(found["duckdb"][1]) == min(10, sum(row["entries"][:1] == [0] for row in rows))
        if not count:
            continue
        assert found["pairs"] == found["same"] == found["default"] == count
        assert found["texts"] == [row["text"] for row in rows]
        assert [sample[1] for sample in found["tars"]] == found["texts"]
        assert [sample[2]["source_uid"] for sample in found["tars"]] == [row["source_uid"] for row in rows]
        assert found["images"] == [image(row["pair_id"]).extension for row in rows]
        assert found["webdataset"] == ["RGB", rows[0]["text"], f"{0:016x}"]
        assert found["samples"] == count
        shell = blocks((folder / "README.md").read_text(), "sh")[0]
        said = subprocess.run(
            ["sh", "-c", shell.replace("python -m", "printf '%s\\n'")], capture_output=True, text=True, check=True
        )
        place = f"{odd}/" if count == 25 else "shards/"
        last = -(-count // 20) - 1
        names = f"{{00000..{last:05d}}}.tar" if last else "00000.tar"
        assert f"{place}{names}" in said.stdout.splitlines()

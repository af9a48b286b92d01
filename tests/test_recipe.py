import pytest
import yaml

from pipeline.errors import UsageError
from pipeline.recipe import Recipe, bundled_recipes, load_recipe
from pipeline.recipe_file import to_yaml, validated

MINIMAL = "name: x\nentries: {en: list.txt}\nbalance: {t: 20}\n"


def write(tmp_path, text):
    file = tmp_path / "recipe.yaml"
    file.write_text(text)
    return str(file)


def test_bundled_recipes_load_and_survive_a_round_trip():
    assert bundled_recipes() == [
        "align", "clip-score", "datacomp-basic", "demo", "metaclip", "metaclip-2.5b", "metaclip-400m",
        "metaclip-clip-score", "metaclip2-worldwide", "none", "random", "semantic",
    ]  # fmt: skip
    for name in bundled_recipes():
        recipe = load_recipe(name)
        assert recipe.name == name
        assert validated(Recipe, yaml.safe_load(to_yaml(recipe)), name) == recipe
    assert load_recipe("metaclip-400m").balance.t == 20_000
    assert load_recipe("metaclip-2.5b").balance.t == 170_000


@pytest.mark.parametrize("name", ["align", "datacomp-basic"])
def test_a_preset_has_the_rules_of_its_recipe(tmp_path, name):
    preset = load_recipe(write(tmp_path, MINIMAL + f"filter: {{preset: {name}}}\n")).filter
    assert preset.model_copy(update={"preset": None}) == load_recipe(name).filter


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("balnce: {t: 1}\n", r"balnce: no such key; allowed: name, seed, input"),
        ("match: {fom: x}\n", r"match.fom: no such key; allowed: form, engine"),
        ("match: {form: metaclip3}\n", r"match.form: found 'metaclip3'; allowed: 'metaclip1' or 'metaclip2'"),
        ("seed: one\n", r"seed: found 'one'; .*integer"),
        ("dedupe: {threshold: 1.5}\n", r"dedupe.threshold: found 1.5; .*less than or equal to 1"),
        ("dedupe: {threshold: '0.5'}\n", r"dedupe.threshold: found '0.5'"),
        ("dedupe: {keep_per_cluster: 0}\n", r"keep_per_cluster: found 0; .*greater than or equal to 1"),
        ("shards: {samples: 1.5}\n", r"shards.samples: found 1.5"),
        ("shards: 7\n", r"shards: found 7"),
        ("input: {preset: lion}\n", r"input.preset: found 'lion'; allowed: 'laion'"),
        ("input: {columns: {txt: a}}\n", r"input.columns"),
        ("images: {root: x}\n", r"images: root and prefix go together"),
        ("language: {identify: none, keep: [en]}\n", r"language.keep"),
        ("match: {unmatched: maybe}\n", r"match.unmatched: found 'maybe'; allowed: 'drop' or 'keep'"),
        ("match: {unmatched: keep}\nlanguage: {match_first: true}\n", r"match_first: not with match.unmatched keep"),
        ("filter: {ngrams: {}}\n", r"ngrams: exactly one of top, min_count is allowed, found none"),
        ("filter: {ngrams: {top: 1, min_count: 1}}\n", r"ngrams: exactly one of .* found top, min_count"),
        ("filter: {ngrams: {top: 0}}\n", r"filter.ngrams.top: found 0; .*greater than or equal to 1"),
        ("filter: {ngrams: {min_count: 1.5}}\n", r"filter.ngrams.min_count: found 1.5"),
        ("filter: {ngrams: 5}\n", r"filter.ngrams: found 5"),
        ("filter: {min_words: 5, max_words: 4}\n", r"max_words: found 4, at least min_words is allowed, 5"),
        ("filter: {best: {column: score}}\n", r"filter.best.share"),
        ("filter: {best: {column: score, share: 0}}\n", r"filter.best.share: found 0; .*greater than 0"),
        ("filter: {best: {column: score, share: 1.1}}\n", r"filter.best.share: found 1.1; .*less than or equal to 1"),
        ("filter: {best: {column: '', share: 0.1}}\n", r"filter.best.column: found ''"),
        ("filter: {columns: [x]}\n", r"columns are for the condition where and the rule best, found neither"),
        ("seed: [\n", r"not valid YAML in line"),
        ("name: y\n", r"key 'name' twice"),
    ],
)
def test_what_is_not_allowed_is_one_line(tmp_path, change, said):
    with pytest.raises(UsageError, match=said) as error:
        load_recipe(write(tmp_path, MINIMAL + change))
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    ("balance", "said"),
    [
        ("{}", "exactly one of t, tail_share, size is allowed, found none"),
        ("{t: 1, size: 5}", "found t, size"),
        ("{t: 0}", "balance.t"),
        ("{t: -3}", "balance.t"),
        ("{t: abc}", "balance.t"),
        ("{t: .inf}", "balance.t"),
        ("{tail_share: 2}", "balance.tail_share"),
        ("{t: {de: 5}}", "no list 'de'; allowed: en"),
        ("{size: 100, mode: cap}", "found mode cap"),
        ("{t: 1, groups: [{terms: a, group: b}]}", "balance.groups.0: exactly one of t, share is allowed, found none"),
        ("{t: 1, groups: [{terms: a, group: b, t: 1, share: 0.5}]}", "groups.0: exactly one .* found t, share"),
        ("{t: 1, groups: [{terms: a, group: b, share: 1.5}]}", "balance.groups.0.share: found 1.5"),
        ("{t: 1, groups: [{terms: a, t: 1}]}", "balance.groups.0.group: missing"),
        ("{t: 1, groups: [{terms: a, group: b, cap: 1}]}", "balance.groups.0.cap: no such key; allowed: terms, group"),
        ("{t: 1, groups: {terms: a}}", "balance.groups: found"),
        ("{size: 9, groups: [{terms: a, group: b, t: 1}]}", "balance: groups are beside t or tail_share, found size"),
        ("{t: 1, groups: [{terms: a, group: b, t: 1}, {terms: a, group: b, t: 2}]}", "groups: b of a is there twice"),
        *(
            (f"{{t: 1, mode: {mode}, groups: [{{terms: a, group: b, t: 1}}]}}", f"sample, found mode {mode}")
            for mode in ("cap", "none")
        ),
        (f"{{t: 1, groups: [{', '.join(f'{{terms: a, group: b{i}, share: 0.1}}' for i in range(11))}]}}", "at most 10"),
        ("{t: 100, mode: random}", "mode random takes a size, found none"),
        ("{size: 0, mode: random}", "balance.size: found 0"),
        ("{t: 1, mode: none_}", "allowed: 'sample', 'cap', 'none' or 'random'"),
    ],
)
def test_thresholds_that_are_not_allowed(tmp_path, balance, said):
    with pytest.raises(UsageError, match=said):
        load_recipe(write(tmp_path, f"name: x\nentries: {{en: list.txt}}\nbalance: {balance}\n"))


def test_norwegian_is_no_boolean(tmp_path):
    recipe = load_recipe(
        write(
            tmp_path,
            "name: x\nentries: {no: no.txt, en: en.txt}\nbalance: {t: {no: 2e1, en: 5}}\nlanguage: {keep: [no, on, y]}\n",
        )
    )
    assert dict(recipe.entries) == {"no": "no.txt", "en": "en.txt"}
    assert recipe.balance.t == {"no": 20, "en": 5}
    assert recipe.language.keep == ["no", "on", "y"]
    assert validated(Recipe, yaml.safe_load(to_yaml(recipe)), "x") == recipe


def test_a_single_t_needs_a_leader(tmp_path):
    with pytest.raises(UsageError, match="a list en"):
        load_recipe(write(tmp_path, "name: x\nentries: {de: a, fr: b}\nbalance: {t: 5}\n"))
    with pytest.raises(UsageError, match="follow that of en"):
        load_recipe(write(tmp_path, "name: x\nentries: {de: a, fr: b}\nbalance: {t: {de: 5}}\n"))
    with pytest.raises(UsageError, match="exactly one list, found 2"):
        load_recipe(write(tmp_path, "name: x\nentries: {en: a, fr: b}\nbalance: {t: 5}\nlanguage: {identify: none}\n"))


@pytest.mark.parametrize(("balance", "needs_en"), [("{t: 5}", True), ("{size: 5}", True), ("{tail_share: 0.1}", False)])
def test_a_tail_share_needs_no_english(tmp_path, balance, needs_en):
    """Each list has its own t then; one number is the t of en, which the others follow."""
    file = write(tmp_path, f"name: x\nentries: {{de: a.txt, fr: b.txt}}\nbalance: {balance}\n")
    if needs_en:
        with pytest.raises(UsageError, match="balance: one number for several lists needs a list en"):
            load_recipe(file)
    else:
        assert load_recipe(file).balance.tail_share == 0.1


def test_overrides(tmp_path):
    file = write(tmp_path, MINIMAL)
    recipe = load_recipe(
        file, ["balance.size=1000", "entries.no=x.txt", "input.format=csv", "language.keep=[en, no]"], ["in/*"]
    )
    assert (recipe.balance.t, recipe.balance.size) == (None, 1000)
    assert recipe.entries["no"] == "x.txt"
    assert recipe.input.paths == ["in/*"]
    assert recipe.language.keep == ["en", "no"]
    assert load_recipe("align", ["filter.ngrams.min_count=5"]).filter.ngrams.top is None
    for wrong, said in [
        ("balance.t", "allowed is dotted.key=value"),
        ("a.b=1", "a: no such key"),
        ("name.x=1", "name: found 'x'"),
    ]:
        with pytest.raises(UsageError, match=said):
            load_recipe(file, [wrong])


def test_no_such_recipe(tmp_path):
    with pytest.raises(UsageError, match="bundled recipes: align, clip-score, datacomp-basic, "):
        load_recipe("metaclip-400")
    with pytest.raises(UsageError, match="not UTF-8"):
        (tmp_path / "bad.yaml").write_bytes(b"name: \xff")
        load_recipe(str(tmp_path / "bad.yaml"))
    with pytest.raises(UsageError, match="a mapping of keys"):
        load_recipe(write(tmp_path, "- a\n"))

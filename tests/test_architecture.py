"""The rules of docs/architecture.md: who may import what, names, sizes, docstrings of modules."""

import ast
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
MODULES = sorted(PROJECT.glob("pipeline/**/*.py"))
STAGES = ("extract", "ingest", "language", "entries", "match", "dedupe", "balance", "images", "filter", "shards")
# What serves several stages: none of them, so that their Spark sides may use its own.
SHARED = ("buckets", "components", "local", "tars", "tombstones")
MAIN_PATH = {
    f"pipeline.{name}" for name in ("curate", "engine", "explore", "fitting", "job", "output", "session", "stages")
}


def imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def name(file: Path) -> str:
    return str(file.relative_to(PROJECT / "pipeline"))


@pytest.mark.parametrize("file", MODULES, ids=name)
def test_pyspark_stays_behind_the_seam(file):
    allowed = file.name == "spark.py" or name(file) in (
        "session.py",
        "shipping.py",
        "workers.py",
        "tables.py",
        "curate.py",
    )
    if not allowed:
        assert not [i for i in imports(file) if i.split(".")[0] == "pyspark"]


@pytest.mark.parametrize("file", MODULES, ids=name)
def test_no_stage_uses_the_spark_side_of_another(file):
    own = name(file).split("/")[0]
    others = [i for i in imports(file) if i.startswith("pipeline.") and ".spark" in i and i.split(".")[1] in STAGES]
    others = [i for i in others if i.split(".")[1] != own]
    assert not others


@pytest.mark.parametrize("file", MODULES, ids=name)
def test_the_spark_side_of_what_is_shared_is_for_spark_sides(file):
    """What serves several stages uses no stage's Spark side, and plain modules use none at all."""
    own, found = name(file).split("/")[0], [i for i in imports(file) if i.startswith("pipeline.") and ".spark" in i]
    if own in SHARED:
        assert not [i for i in found if i.split(".")[1] not in SHARED]
    if file.name not in ("spark.py", "stage.py") and "/" in name(file):
        assert not [i for i in found if i.split(".")[1] in SHARED]


def test_every_folder_is_a_stage_or_shared_or_apart():
    folders = {name(file).split("/")[0] for file in MODULES if "/" in name(file)}
    apart = {"command", "compare", "demo", "explain", "groups", "plan", "remove", "report", "train", "verify"}
    assert folders == {*STAGES, *SHARED, *apart}


@pytest.mark.parametrize("file", MODULES, ids=name)
def test_stages_do_not_know_the_main_path_and_spark_does_not_know_torch(file):
    found = imports(file)
    if name(file).split("/")[0] in STAGES and file.name != "__main__.py":  # a command
        assert not found & MAIN_PATH
    if not name(file).startswith("train/"):
        assert not [i for i in found if i.split(".")[0] in ("torch", "transformers")]


@pytest.mark.parametrize("file", ["curate", "fitting", "output", "record", "run", "stage"])
def test_the_main_path_names_no_stage(file):
    """Stages are in the list of ``stages.py`` alone: a new one is no change to what runs them."""
    found = imports(PROJECT / "pipeline" / f"{file}.py")
    assert not [i for i in found if i.startswith("pipeline.") and i.split(".")[1] in STAGES]


def test_stages_are_declared():
    """Each has a command, names of its own, and reads what comes before it."""
    from pipeline.command.table import COMMANDS
    from pipeline.stages import STAGES

    folders = [folder for stage in STAGES for folder in stage.folders]
    assert len(set(folders)) == len(folders)
    for at, stage in enumerate(STAGES):
        assert stage.name in COMMANDS  # which tests/command holds against jobs/ and make
        assert set(stage.reads) <= {before.name for before in STAGES[:at]}
    assert len({stage.name for stage in STAGES}) == len(STAGES)


@pytest.mark.parametrize("file", MODULES, ids=name)
def test_plain_modules_import_without_the_spark_side(file):
    """A kernel is tested and measured without a JVM: plain modules do not reach pyspark through tables or run."""
    plain = file.name not in ("spark.py", "stage.py") and "/" in name(file) and not name(file).startswith("command/")
    if plain:
        assert not imports(file) & {"pipeline.tables", "pipeline.run", "pipeline.session"}


@pytest.mark.parametrize(
    "file", [*MODULES, *sorted(PROJECT.glob("jobs/*.py"))], ids=lambda f: f"{f.parent.name}/{f.name}"
)
def test_files_are_short_and_say_what_they_are(file):
    text = file.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert text.count("\n") <= 300
    assert file.stem not in ("utils", "util", "helpers", "common", "misc", "manager")


def test_jobs_only_parse_and_call():
    for file in PROJECT.glob("jobs/*.py"):
        assert not [i for i in imports(file) if i.split(".")[0] == "pyspark"]
        assert file.read_text().count("\n") < 60

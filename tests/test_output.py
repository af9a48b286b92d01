"""The output folder of curation: what is in it and not ours, or is its input, stops a run."""

import pytest

from pipeline.curate import curate
from pipeline.errors import UsageError
from pipeline.output import check_output, held
from pipeline.recipe import load_recipe
from pipeline.remove.work import FOLDER
from pipeline.run import Request


@pytest.mark.parametrize("force", [False, True], ids=["", "force"])
@pytest.mark.parametrize("name", ["mine.txt", "pairs", "shards", "manifest.json", "images"])
def test_a_folder_that_no_run_of_ours_began_is_not_taken(tmp_path, name, force):
    """The fault: a folder of that name was taken for a table, and replaced."""
    (tmp_path / name).mkdir()
    with pytest.raises(UsageError, match=f"holds '{name}', which is not of this project"):
        check_output(str(tmp_path), load_recipe("demo"), force)


@pytest.mark.parametrize("force", [False, True], ids=["", "force"])
@pytest.mark.parametrize("path", ["{out}", "{out}/pairs", "{out}/pairs/*.parquet", "{link}/pairs"])
def test_an_output_that_holds_its_input_is_refused(tmp_path, path, force):
    out, link = tmp_path / "out", tmp_path / "link"
    (out / "pairs").mkdir(parents=True)
    (out / "recipe.yaml").write_text("name: demo\n")
    link.symlink_to(out)
    recipe = load_recipe("demo", None, [path.format(out=out, link=link)])
    with pytest.raises(UsageError, match="which input.paths names; give a folder apart from it"):
        check_output(str(out), recipe, force)
    check_output(str(tmp_path / "other"), recipe, force)


def test_a_removal_that_began_while_a_run_looked_at_its_input_stops_it(tmp_path):
    (tmp_path / FOLDER).mkdir()
    request = Request(recipe=load_recipe("demo"), output=str(tmp_path), source=str(tmp_path))
    with pytest.raises(UsageError, match="a removal began there just now"), held(request):
        pass


def test_a_source_with_half_a_removal_is_not_read(tmp_path):
    (tmp_path / "source" / FOLDER).mkdir(parents=True)
    with pytest.raises(UsageError, match="--input .*/source: a removal is not finished there"):
        curate(load_recipe("demo"), str(tmp_path / "output"), ["balance"], str(tmp_path / "source"))

"""Tables, columns and texts in files and folders of odd names, by Spark."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import tables
from pipeline.errors import UsageError
from tests.odd_names import ODD_NAMES


def chains(length: int = 6) -> list[str]:
    """All odd names as a few paths."""
    return ["/".join(ODD_NAMES[i : i + length]) for i in range(0, len(ODD_NAMES), length)]


def written_and_read(spark, folder) -> None:
    rows = spark.range(6).selectExpr("id", "if(id % 2 = 0, null, 'odd') as dropped")
    assert tables.write_accounted(rows, str(folder), "t") == {None: 3, "odd": 3}
    tables.commit(str(folder), "t")
    found = tables.read(spark, f"file://{folder}/t")
    assert found.columns == ["id"]
    assert sorted(row.id for row in found.collect()) == [0, 2, 4]
    again = tables.write(found, str(folder), "again")
    assert again.count() == 3
    assert {line["path"] for line in tables.describe_files(spark, str(folder), ["t"])} == {
        f"t/{file.name}" for file in (folder / "t").glob("*.parquet")
    }


@pytest.mark.parametrize("chain", chains(), ids=range(len(chains())))
def test_tables_in_folders_of_odd_names(spark, tmp_path, chain):
    written_and_read(spark, tmp_path / chain)
    assert [path.name for path in tmp_path.iterdir()] == [chain.split("/")[0]]


@pytest.mark.slow
@pytest.mark.parametrize("name", ODD_NAMES)
def test_tables_in_a_folder_of_an_odd_name(spark, tmp_path, name):
    written_and_read(spark, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_columns_of_files_of_odd_names(spark, tmp_path):
    from pipeline.filter.spark import read_files

    files = []
    for number, name in enumerate(ODD_NAMES):
        folder = tmp_path / name
        folder.mkdir()
        kind = [pa.int32(), pa.float64(), pa.float16(), pa.null()][number % 4]
        column = pa.nulls(1) if kind == pa.null() else pa.array([number], pa.float64()).cast(kind)
        pq.write_table(pa.table({"key": [name], "score": column}), (folder / f"{name}.parquet").open("wb"))
        files.append(str(folder / f"{name}.parquet"))
    found = {row.key: row.score for row in read_files(spark, "here", files).collect()}
    assert found == {name: None if number % 4 == 3 else number for number, name in enumerate(ODD_NAMES)}
    (tmp_path / "bad").write_bytes(b"PAR1")
    for bad in (tmp_path / "bad", tmp_path / "none"):
        with pytest.raises(UsageError, match="filter.columns: here: ") as error:
            read_files(spark, "here", [str(bad)])
        assert "\n" not in str(error.value)


def test_texts_in_files_of_odd_names(spark, tmp_path):
    from pipeline.entries.build.spark import records, title_views

    files = []
    for name in [*ODD_NAMES, "_hidden", ".hidden"]:
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text("en first 1\nen second 2\n")
        files.append(str(folder / name))
    assert records(spark, files).count() == 2 * len(files)
    views = title_views(spark, files, "en")[0].collect()
    assert {(row.title, row.views) for row in views} == {("first", len(files)), ("second", 2 * len(files))}

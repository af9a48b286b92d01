"""Runs the lines of a card as a reader would, in a Python of its own: ``python -m tests.report.loaded FOLDER...``.

Prints a JSON object for each folder: what the lines found, and the rows of every config of the header.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def blocks(text: str, language: str) -> list[str]:
    """The blocks of code of a language in a text of Markdown."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def load(folders: list[Path], caches: Path) -> list[dict]:
    """What the cards' lines find."""
    env = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(caches), "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-m", "tests.report.loaded", *map(str, folders)]
    done = subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def described(folder: Path):
    """The data set of ``croissant.json`` in a folder, as ``mlcroissant`` has it, without any error."""
    import mlcroissant

    found = mlcroissant.Dataset(folder / "croissant.json")
    assert not found.metadata.ctx.issues.errors
    return found


def records(folder, table):
    """The records of a table as ``mlcroissant`` reads them, texts as texts, by the names of the columns' fields."""
    rows = list(described(folder).records(table))
    return [{key.split("/", 1)[1]: _plain(value) for key, value in row.items()} for row in rows]


def _plain(value):
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.decode() if isinstance(value, bytes) else value


def found_in(folder: Path) -> dict:
    """Runs all blocks of the card in a folder, and loads all its configs."""
    import duckdb
    from datasets import get_dataset_config_names, load_dataset
    from huggingface_hub import DatasetCard

    os.chdir(folder)
    text = (folder / "README.md").read_text()
    scope: dict = {}
    found: dict = {}
    for code in blocks(text, "python"):
        exec(code, scope)
        if "wds.WebDataset" in code:
            found["webdataset"] = [scope["image"].mode, scope["text"], scope["meta"]["uid"]]
            found["samples"] = sum(1 for _ in scope["samples"])
        elif '"webdataset"' in code:
            rows = list(scope["samples"])
            found["tars"] = [[row["__key__"], row["txt"], row["json"]] for row in rows]
            found["images"] = [
                name for row in rows for name in ("jpg", "png", "webp") if row[name] is not None and row[name].size
            ]
        elif "load_dataset" in code:
            found |= {"pairs": scope["pairs"].num_rows, "same": scope["same"].num_rows}
            found["texts"] = scope["pairs"]["text"][:]
        elif "polars" in code:
            found["polars"] = [list(row) for row in scope["sizes"].rows()]
    queries = [query for code in blocks(text, "sql") for query in code.split(";") if query.strip()]
    found["duckdb"] = [[list(row) for row in duckdb.sql(query).fetchall()] for query in queries]
    configs = DatasetCard.load(folder / "README.md").data.to_dict().get("configs", [])
    names = [config["config_name"] for config in configs]
    assert not names or set(get_dataset_config_names(str(folder))) == set(names)
    found["configs"] = {name: load_dataset(str(folder), name, split="train").num_rows for name in names}
    if any("default" in config for config in configs):
        found["default"] = load_dataset(str(folder), split="train").num_rows
    return found


if __name__ == "__main__":
    print(json.dumps([found_in(Path(folder)) for folder in sys.argv[1:]]))

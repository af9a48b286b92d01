"""Trainings and sets as a comparison leaves them."""

import json

import pyarrow as pa


def write_run(folder, recipe, steps, batch):
    folder.mkdir(parents=True)
    lines = [{"step": s, "samples": s * batch, "samples_per_second": 50.0} for s in range(1, steps + 1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "run.json").write_text(json.dumps({"recipe": recipe.model_dump(mode="json")}))
    return folder


def write_set(folder, ids):
    import pyarrow.parquet as pq

    (folder / "shards").mkdir(parents=True)
    (folder / "shards" / "manifest.json").write_text(json.dumps({"samples": len(ids)}))
    pq.write_table(pa.table({"pair_id": pa.array(ids, pa.int64())}), folder / "shards" / "00000.parquet")
    return folder

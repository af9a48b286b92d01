"""``metaclip-pipeline shards`` for ``spark-submit``: the stage shards."""

from pipeline.command.main import run_job

if __name__ == "__main__":
    run_job("shards")

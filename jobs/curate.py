"""``metaclip-pipeline curate`` for ``spark-submit``: a recipe from pool to shards."""

from pipeline.command.main import run_job

if __name__ == "__main__":
    run_job("curate")

"""``metaclip-pipeline match`` for ``spark-submit``: the stage match."""

from pipeline.command.main import run_job

if __name__ == "__main__":
    run_job("match")

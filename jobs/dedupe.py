"""``metaclip-pipeline dedupe`` for ``spark-submit``: the stage dedupe."""

from pipeline.command.main import run_job

if __name__ == "__main__":
    run_job("dedupe")

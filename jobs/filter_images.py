"""``metaclip-pipeline filter`` for ``spark-submit``: the stage filter."""

from pipeline.command.main import run_job

if __name__ == "__main__":
    run_job("filter")

"""``metaclip-pipeline balance`` for ``spark-submit``: the stage balance."""

from pipeline.command.main import run_job

if __name__ == "__main__":
    run_job("balance")

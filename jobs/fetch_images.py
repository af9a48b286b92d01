"""``metaclip-pipeline images`` for ``spark-submit``: the stage images."""

from pipeline.command.main import run_job

if __name__ == "__main__":
    run_job("images")

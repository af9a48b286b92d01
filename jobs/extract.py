"""``metaclip-pipeline extract`` for ``spark-submit``: the stage extract."""

from pipeline.command.main import run_job

if __name__ == "__main__":
    run_job("extract")

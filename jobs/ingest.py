"""``metaclip-pipeline ingest`` for ``spark-submit``: the stage ingest."""

from pipeline.command.main import run_job

if __name__ == "__main__":
    run_job("ingest")

"""``metaclip-pipeline subset`` for ``spark-submit``: a curated set as a DataComp subset file."""

from pipeline.command.main import run_job

if __name__ == "__main__":
    run_job("subset")

"""``metaclip-pipeline append`` for ``spark-submit``: new input files for a finished set."""

from pipeline.command.main import run_job

if __name__ == "__main__":
    run_job("append")

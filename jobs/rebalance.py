"""``metaclip-pipeline rebalance`` for ``spark-submit``: the stage rebalance."""

from pipeline.command.main import run_job

if __name__ == "__main__":
    run_job("rebalance")

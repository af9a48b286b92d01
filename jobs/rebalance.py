"""Balances again over the pairs that survived fetching and filtering: the table final."""

from pipeline.job import run, stage_app

if __name__ == "__main__":
    run(stage_app(["rebalance"], __doc__))

"""Runs a recipe from a raw pool to curated tables and shards; finished stages are skipped."""

from pipeline.job import run, stage_app

if __name__ == "__main__":
    run(stage_app(None, __doc__))

"""Finds near-duplicate texts of matched: the table clusters."""

from pipeline.job import run, stage_app

if __name__ == "__main__":
    run(stage_app(["dedupe"], __doc__))

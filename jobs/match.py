"""Matches the texts of pairs against the entry lists: the table matched."""

from pipeline.job import run, stage_app

if __name__ == "__main__":
    run(stage_app(["match"], __doc__))

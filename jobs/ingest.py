"""Reads a pool of (URL, text) pairs into the table pairs."""

from pipeline.job import run, stage_app

if __name__ == "__main__":
    run(stage_app(["ingest"], __doc__))

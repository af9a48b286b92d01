"""Writes the curated pairs with their images as webdataset shards."""

from pipeline.job import run, stage_app

if __name__ == "__main__":
    run(stage_app(["shards"], __doc__))

"""Fetches the images of the curated pairs from the web: the folders images and fetched."""

from pipeline.job import run, stage_app

if __name__ == "__main__":
    run(stage_app(["images"], __doc__))

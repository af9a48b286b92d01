"""Drops curated pairs by rules for text and image, duplicates, block-lists, evaluation sets: the table filtered."""

from pipeline.job import run, stage_app

if __name__ == "__main__":
    run(stage_app(["filter"], __doc__))

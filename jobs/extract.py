"""Reads a crawl, WAT or WARC files, into the tables crawl_files and extracted, the pool of the later stages."""

from pipeline.job import run, stage_app

if __name__ == "__main__":
    run(stage_app(["extract"], __doc__))

"""Image-text pairs from crawl files: WAT and WARC."""

"""Shards: curated pairs with their images as webdataset tar files."""

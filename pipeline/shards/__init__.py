"""Shards: curated pairs with their pictures as webdataset tar files."""

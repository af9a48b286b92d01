"""Tables in: Parquet, CSV, TSV and JSONL pools of (URL, text) pairs become the table ``pairs``."""

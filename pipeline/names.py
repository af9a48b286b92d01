"""Column names in Spark's expressions."""


def quoted(name: str) -> str:
    """A column's name as Spark's expressions take it, with dots and backticks in it."""
    return "`" + name.replace("`", "``") + "`"

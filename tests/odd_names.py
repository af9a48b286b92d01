"""Names of files and folders that URLs, globs, partitions, shells or Hadoop make something else of."""

ODD_NAMES = [
    "with space", "größe 日本", "x[1]", "a%20b", "100%", "%41", "a{b}", "a{b,c}", "q?x", "q?x=1", "a#b", "a:b", "file:",
    "k=v", "dropped=bad", "a*b", "a\\b", "-x", "end ", " start", "~x", "~", "a\nb", "a,b", "a;b", "a&b", "a+b", "a'b",
    'a"b', "$HOME", "a${user.name}", "`id`", "a|b<c>", "a\tb", "a@b", "a::b", "e\u0301", "😀", "x.parquet", "12.parquet",
    "x[1]:{y}",
]  # fmt: skip

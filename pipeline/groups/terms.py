"""Files of groups: YAML with a ``source`` and, under ``groups``, the terms of each group."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UsageError
from pipeline.match.fast import FastMatcher
from pipeline.recipe_file import PROJECT, local_path, parse

SHIPPED = PROJECT / "metadata" / "groups"
# Anything but letters, marks and digits stands between words: "Woman's" has the words woman and s.
BETWEEN_WORDS = r"[^\pL\pM\pN]+"


@dataclass(frozen=True)
class Groups:
    """The groups of one file, such as those of genders. ``terms``: the lower-cased terms of each group by its name."""

    name: str
    source: str
    terms: dict[str, list[str]]

    def matcher(self) -> FastMatcher:
        """What finds terms in texts: ids by the order of the groups, then of their terms.

        Where a script has no spaces between words, a term is found within them, as MetaCLIP 2 matches entries.
        """
        return FastMatcher.build(pa.array([term for terms in self.terms.values() for term in terms]), "metaclip2")

    def group_of_term(self) -> list[int]:
        """The number of the group of each term."""
        return [number for number, terms in enumerate(self.terms.values()) for _ in terms]


def shipped_groups() -> list[str]:
    """The names of the files that come with the project."""
    return sorted(file.stem for file in SHIPPED.glob("*.yaml"))


def groups_file(name_or_file: str) -> Path:
    """The path of a shipped file, by name, or of any other."""
    return SHIPPED / f"{name_or_file}.yaml" if name_or_file in shipped_groups() else local_path(name_or_file)


def load_groups(name_or_file: str, where: str | None = None) -> Groups:
    """The groups of a shipped file, by name, or of a YAML file. ``UsageError`` where they are not as they must be.

    ``where``: what the error names, by default the option of the command.
    """
    file, where = groups_file(name_or_file), where or f"--groups {name_or_file}"
    if not file.is_file():
        raise UsageError(f"{where}: no such file; shipped groups: {', '.join(shipped_groups())}")
    try:
        content = parse(file.read_text("utf-8"), where)
    except UnicodeDecodeError as error:
        raise UsageError(f"{where}: not UTF-8 at byte {error.start}") from None
    if (
        not isinstance(content, dict)
        or set(content) - {"source", "groups"}
        or not isinstance(content.get("groups"), dict)
    ):
        raise UsageError(f"{where}: a mapping with the keys source and groups is allowed")
    found: dict[str, list[str]] = {}
    for group, terms in content["groups"].items():
        texts = terms if isinstance(terms, list) and all(isinstance(term, str) for term in terms) else []
        clean = plain(pa.array(texts, pa.string())).to_pylist()
        if not clean or not all(clean):
            raise UsageError(f"{where}: groups.{group}: a list of terms is allowed, found {terms!r:.80}")
        found[str(group)] = list(dict.fromkeys(clean))
    times = Counter(term for terms in found.values() for term in terms)
    if twice := [term for term, count in times.items() if count > 1]:
        raise UsageError(f"{where}: the term {twice[0]!r} is in two groups")
    if not found:
        raise UsageError(f"{where}: no groups there")
    return Groups(file.stem, str(content.get("source", "")), found)


def plain(texts: pa.Array) -> pa.Array:
    """Texts as their lower-cased words with single spaces between, in which terms are looked for."""
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(pc.utf8_lower(texts), BETWEEN_WORDS, " "))

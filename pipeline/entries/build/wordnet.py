"""Names and lemmas of a WordNet: Princeton's database files (WNDB), LMF, or the Open Multilingual WordNet's tabs.

Formats: wndb(5WN) of Princeton; the Global WordNet Association's LMF; ``wn-data-*.tab`` (synset, ``lemma``, word).
"""

import re
import tarfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

from pipeline.entries.lists import decompress
from pipeline.errors import UsageError

DATA_FILES = ("data.noun", "data.verb", "data.adj", "data.adv")
# The syntactic markers of adjectives: predicate, prenominal, immediately postnominal.
_MARKER = re.compile(r"\((?:a|p|ip)\)$")


def wordnet_entries(path: Path, names: str) -> list[str]:
    """The distinct entries of a WordNet in order: ``synsets``, the first word of each; ``lemmas``, all words.

    A synset's name is its first word, as NLTK's ``synset.name()`` has it before ``.n.01``, here with spaces and in its
    own case. Raises ``UsageError`` where the path is no WordNet.
    """
    if not path.exists():
        raise UsageError(f"wordnet.path: {path}: no such file or folder; see docs/metadata.md for where to get one")
    synsets = list(_synsets(path))
    if not synsets:
        raise UsageError(f"wordnet.path: {path}: no synset found; allowed: data.noun and so on, an LMF .xml, a .tab")
    chosen = (words[:1] if names == "synsets" else words for words in synsets)
    return list(dict.fromkeys(word for words in chosen for word in words))


def _synsets(path: Path) -> Iterator[list[str]]:
    """The words of each synset."""
    name = path.name.removesuffix(".gz")
    if path.is_dir():
        files = [found for file in DATA_FILES for found in sorted(path.rglob(file))]
        for file in files:
            yield from _database(file.read_bytes())
    elif path.name.endswith((".tar.gz", ".tgz", ".tar")):
        yield from _archive(path)
    elif name.endswith(".tab"):
        yield from _tabs(decompress(path).decode("utf-8", "replace"))
    elif name.endswith(".xml"):
        yield from _lmf(path)
    else:
        yield from _database(path.read_bytes())


def _archive(path: Path) -> Iterator[list[str]]:
    with tarfile.open(path) as tar:
        found = {Path(member.name).name: member for member in tar if member.isreg()}
        for file in DATA_FILES:
            if file in found:
                yield from _database(tar.extractfile(found[file]).read())


def _database(content: bytes) -> Iterator[list[str]]:
    for line in content.decode("utf-8", "replace").split("\n"):
        fields = line.split(" ")
        # Lines of the licence begin with two spaces.
        if len(fields) < 6 or not re.fullmatch(r"\d{8}", fields[0]):
            continue
        count = int(fields[3], 16)
        yield [_MARKER.sub("", word).replace("_", " ") for word in fields[4 : 4 + 2 * count : 2]]


def _tabs(text: str) -> Iterator[list[str]]:
    synsets: dict[str, list[str]] = {}
    for line in text.split("\n"):
        fields = line.split("\t")
        # The second field is "lemma", or "fra:lemma" in other editions.
        if len(fields) >= 3 and not line.startswith("#") and fields[1].rsplit(":", 1)[-1] == "lemma":
            synsets.setdefault(fields[0], []).append(fields[2].strip().replace("_", " "))
    yield from synsets.values()


def _lmf(path: Path) -> Iterator[list[str]]:
    """The written forms of each synset of an LMF file, in the order of its lexical entries."""
    synsets: dict[str, list[str]] = {}
    form, senses = "", []
    try:
        for _, element in ElementTree.iterparse(path):
            tag = element.tag.rsplit("}", 1)[-1]
            if tag == "Lemma":
                form = element.get("writtenForm") or ""
            elif tag == "Sense":
                senses.append(element.get("synset") or "")
            elif tag == "LexicalEntry":
                for synset in senses:
                    synsets.setdefault(synset, []).append(form)
                form, senses = "", []
                element.clear()
    except ElementTree.ParseError as error:
        raise UsageError(f"wordnet.path: {path}: not XML: {error}") from None
    yield from (words for words in synsets.values() if words[0])

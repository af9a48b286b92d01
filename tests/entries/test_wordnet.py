"""WordNets of every format, small ones and Princeton's."""

import gzip
import re
import tarfile

import pytest

from pipeline.entries.build.wordnet import wordnet_entries
from pipeline.errors import UsageError

NOUNS = """  1 This software and database is being provided to you
00001740 03 n 01 entity 0 003 ~ 00001930 n 0000 | that which is perceived
02102605 05 n 02 golden_retriever 0 Golden_Retriever 0 001 @ 02101795 n 0000 | an English breed
15388526 18 n 01 entity 1 000 | again
"""
ADJECTIVES = """00004413 00 a 02 abridged 0 galore(ip) 0 002 & 00004615 a 0000 ! 00004817 a 0101 | shortened
"""
LMF = """<?xml version="1.0"?>
<LexicalResource><Lexicon id="x" language="fr">
<LexicalEntry id="w1"><Lemma writtenForm="chien" partOfSpeech="n"/><Sense id="s1" synset="x-1"/><Sense id="s2" synset="x-2"/></LexicalEntry>
<LexicalEntry id="w2"><Lemma writtenForm="toutou" partOfSpeech="n"/><Sense id="s3" synset="x-1"/></LexicalEntry>
<LexicalEntry id="w3"><Lemma writtenForm="pomme de terre" partOfSpeech="n"/><Sense id="s4" synset="x-3"/></LexicalEntry>
<Synset id="x-1"/></Lexicon></LexicalResource>
"""
TAB = "# Wordnet\tfra\n00001740-n\tfra:lemma\tchien\n00001740-n\tfra:lemma\ttoutou\n00001740-n\tfra:def\t0\tanimal\n00002\tlemma\tpomme_de_terre\n"


@pytest.fixture
def database(tmp_path):
    folder = tmp_path / "dict"
    folder.mkdir()
    (folder / "data.noun").write_text(NOUNS)
    (folder / "data.adj").write_text(ADJECTIVES)
    return folder


def test_princetons_files(database, tmp_path):
    assert wordnet_entries(database, "synsets") == ["entity", "golden retriever", "abridged"]
    lemmas = ["entity", "golden retriever", "Golden Retriever", "abridged", "galore"]
    assert wordnet_entries(database, "lemmas") == lemmas
    with tarfile.open(tmp_path / "wordnet.tar.gz", "w:gz") as tar:
        tar.add(database, "WordNet-3.1/dict")
    assert wordnet_entries(tmp_path / "wordnet.tar.gz", "lemmas") == lemmas
    assert wordnet_entries(database / "data.adj", "synsets") == ["abridged"]


def test_lmf_and_tabs(tmp_path):
    (tmp_path / "fr.xml").write_text(LMF)
    assert wordnet_entries(tmp_path / "fr.xml", "synsets") == ["chien", "pomme de terre"]
    assert wordnet_entries(tmp_path / "fr.xml", "lemmas") == ["chien", "toutou", "pomme de terre"]
    (tmp_path / "wn-data-fra.tab.gz").write_bytes(gzip.compress(TAB.encode()))
    assert wordnet_entries(tmp_path / "wn-data-fra.tab.gz", "synsets") == ["chien", "pomme de terre"]


def test_no_wordnet(tmp_path):
    (tmp_path / "x.xml").write_text("<a><b></a>")
    (tmp_path / "x.tab").write_text("nothing\n")
    for name, message in (("none", "no such file"), ("x.xml", "not XML"), ("x.tab", "no synset found")):
        with pytest.raises(UsageError, match=message):
            wordnet_entries(tmp_path / name, "synsets")


def test_all_of_wordnet_3_1(shared):
    """117,791 synsets; their names counted by an independent reading of the lines."""
    path = shared / "data" / "wordnet" / "wordnet-3.1-dict.tar.gz"
    lines = []
    with tarfile.open(path) as tar:
        for name in ("data.noun", "data.verb", "data.adj", "data.adv"):
            lines += tar.extractfile(f"dict/{name}").read().decode().splitlines()
    heads = re.findall(r"^\d{8} \d\d [nvasr] [0-9a-f]{2} (\S+)", "\n".join(lines), re.MULTILINE)
    assert len(heads) == 117_791
    names = {re.sub(r"\((a|p|ip)\)$", "", head).replace("_", " ") for head in heads}
    found = wordnet_entries(path, "synsets")
    assert len(found) == len(names)
    assert set(found) == names
    assert "golden retriever" in names

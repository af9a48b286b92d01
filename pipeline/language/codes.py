"""Language codes: one form for all spellings, and the entry list that a code finds.

Codes are compared in lower case with hyphens. Three-letter codes of languages that have one of two letters (ISO 639-2
of both kinds, and the members that stand for a whole language, such as ``cmn`` for ``zh``) and codes that were replaced
(``iw``) become those of today. A code without a list of its own goes to that of the code without its last part, so that
``zh-Hant-TW`` finds ``zh-Hant``, or else ``zh``. ``merged.tsv`` has what goes to a language of Wikipedia beyond that:
members of macrolanguages, variants, and other codes of the same, as models with thousands of labels give them.
"""

from collections.abc import Iterable
from importlib.resources import files

import pyarrow as pa
import pyarrow.compute as pc

OTHER, UNKNOWN = "other", "und"
# A code of three letters and the one of two, together.
PAIRS = """
aaraa abkab afraf akaak albsq amham araar arbar argan armhy asmas avaav aveae aymay ayray azeaz azjaz bakba
bambm baqeu belbe benbn bihbh bisbi bodbo bosbs brebr bulbg burmy catca cescs chach chece chizh chucu chvcv
cmnzh corkw cosco crecr cymcy czecs danda deude divdv dutnl dzodz ekket ellel engen epoeo estet euseu eweee
faofo fasfa fijfj filtl finfi frafr frefr fryfy fulff gazom geoka gerde glagd glega glggl glvgv greel grngn
guggn gujgu hatht hauha hbssh hebhe herhz hinhi hmoho hrvhr hunhu hyehy iboig iceis idoio iiiii ikuiu ileie
inaia indid ipkik islis itait javjv jpnja kalkl kankn kasks katka kaukr kazkk khkmn khmkm kikki kinrw kirky
kmrku knckr komkv konkg korko kuakj kurku laolo latla lavlv limli linln litlt ltzlb lublu luglg lvslv macmk
mahmh malml maomi marmr mayms mkdmk mlgmg mltmt molmo monmn mrimi msams myamy nauna navnv nblnr ndend ndong
nepne nldnl nnonn nobnb norno npine nyany ocioc ojioj orior ormom oryor ossos panpa pbups perfa pesfa plipi
pltmg polpl porpt pusps quequ quzqu rohrm ronro rumro runrn rusru sagsg sansa sccsr scrhr sinsi slksk slosk
slvsl smese smosm snasn sndsd somso sotst spaes sqisq srdsc srpsr sswss sunsu swasw swesv swhsw tahty tamta
tattt telte tgktg tgltl thath tibbo tirti tonto tsntn tsots tuktk turtr twitw uigug ukruk urdur uzbuz uznuz
venve vievi volvo welcy wlnwa wolwo xhoxh yddyi yidyi yoryo zhaza zhozh zsmms zulzu
"""
SHORTER = {pair[:3]: pair[3:] for pair in PAIRS.split()}
# Replaced, or of a language whose lists go by another code.
TODAY = {"iw": "he", "in": "id", "ji": "yi", "jw": "jv", "mo": "ro", "nb": "no", "sh": "sr"}
# A language's code, and those that are merged into it.
MERGED = {
    code: language
    for line in files(__package__).joinpath("merged.tsv").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
    for language, codes in [line.split("\t")]
    for code in codes.split()
}
# fastText's own label for Serbo-Croatian stays as it is.
OF_MODELS = frozenset({"sh"})


def spelled(code: str) -> str:
    """The code in lower case with hyphens. One that is another language's with this script becomes that."""
    code = code.strip().lower().replace("_", "-")
    first, *rest = code.split("-", 2)
    other = MERGED.get(f"{first}-{rest[0]}") if rest else None
    return "-".join([other, *rest]) if other else code


def canonical(code: str, by_model: bool = False) -> str:
    """The code in the form in which codes are compared; ``by_model``: it is a label of a fastText model."""
    return _forms(code, by_model)[-1]


def _forms(code: str, by_model: bool) -> list[str]:
    """The forms of a code under which a list may be found: as it is, of two letters, as of today."""
    first, *rest = spelled(code).split("-")
    short = SHORTER.get(first) or MERGED.get(first, first)
    today = short if by_model and short in OF_MODELS else TODAY.get(short, short)
    return ["-".join([part, *rest]) for part in dict.fromkeys([first, short, today])]


def aliases(lists: Iterable[str]) -> dict[str, str]:
    """The entry lists that are not simply named by a language of today, by the forms of the codes that find them.

    A list ``de`` needs no alias, so that another such list changes nothing.
    """
    names = sorted(set(lists) - {OTHER})
    plain = {name: spelled(name) for name in names}
    found: dict[str, str] = {}
    special = [name for name in names if name != canonical(name).split("-")[0]]
    for name in special:
        if plain[name] == name or plain[name] not in names:
            found.setdefault(plain[name], name)
    for name in special:
        for form in _forms(name, by_model=False):
            if form not in plain.values():
                found.setdefault(form, name)
    return found


def label(code: str, aliases: dict[str, str], by_model: bool = False) -> str:
    """The language that a table holds for a code: the name of the list that it finds, if there is one."""
    parts = spelled(code).split("-")
    for end in range(len(parts), 0, -1):
        for form in _forms("-".join(parts[:end]), by_model):
            if form in aliases:
                return aliases[form]
    return canonical(parts[0], by_model)


def found_lists(codes: pa.Array, lists: Iterable[str]) -> pa.Array:
    """The list that each code finds, else ``other``, else null."""
    names, known = set(lists), aliases(lists)
    distinct = pc.fill_null(codes, UNKNOWN).dictionary_encode()
    found = []
    for code in distinct.dictionary.to_pylist():
        name = code if code in names else label(code, known, by_model=True)
        found.append(name if name in names else OTHER if OTHER in names else None)
    return pa.array(found, pa.string()).take(distinct.indices)


def is_kept(code: str, keep: list[str], by_model: bool = False) -> bool:
    """Whether a code is one of ``keep``, or a region's, script's or variant's of one."""
    code = canonical(code, by_model)
    return any(code == wanted or code.startswith(f"{wanted}-") for wanted in (canonical(k, by_model) for k in keep))

"""What answers and pages say to robots: the directives of ``X-Robots-Tag`` and of ``<meta name="robots">``."""

# What may stand there, some of it with a value after a colon: none of these is an agent.
DIRECTIVES = {"all", "none", "noindex", "nofollow", "noarchive", "nocache", "nosnippet", "notranslate", "noimageindex",
              "indexifembedded", "noai", "noimageai", "unavailable_after", "max-snippet", "max-image-preview",
              "max-video-preview"}  # fmt: skip


def directives(value: str, agent: str | None = None) -> set[str]:
    """The directives of one ``X-Robots-Tag`` for the agent: they are for all, or for the name that comes first.

    Where lines were joined on the way, what follows the agent's own name is for it too.
    """
    named, ours = set(), {"", "*", (agent or "").strip().lower()}
    applies = True
    for number, part in enumerate(value.split(",")):
        first, colon, rest = (piece.strip().lower() for piece in part.partition(":"))
        directive = first
        if colon and first not in DIRECTIVES:
            applies = first in ours or (applies and number > 0)
            directive = rest.partition(":")[0].strip()
        if applies:
            named.add(directive)
    return named | {"noindex", "nofollow"} if "none" in named else named

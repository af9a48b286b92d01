"""Whether a page asks not to be used: by what it says to robots, or by a reservation of text and data mining.

Noted by ``X-Robots-Tag`` and ``<meta name="robots">``, and by ``tdm-reservation`` (TDM Reservation Protocol, W3C) in a
header or a meta element.
"""

from collections.abc import Iterable

from pipeline.robots import directives

OPT_OUTS = ("noai", "noimageai", "noindex", "noimageindex")
RESERVED = "tdm"
PREFIX = "opted_out_"
# The names of meta elements that are for every robot.
ROBOTS, TDM = "robots", "tdm-reservation"


def opted_out(robots: Iterable[str], reservations: Iterable[str]) -> str | None:
    """The reason why a page is not to be used, ``opted_out_noai`` and so on, or None.

    ``robots``: the values of its headers and meta elements, ``reservations`` those of ``tdm-reservation``.
    """
    said = set().union(*map(directives, robots))
    if found := next((word for word in OPT_OUTS if word in said), None):
        return PREFIX + found
    return PREFIX + RESERVED if any(value.strip() == "1" for value in reservations) else None

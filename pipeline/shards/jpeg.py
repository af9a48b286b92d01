"""The size of a JPEG by its markers: all a shard wants to know of most images, at a tenth of a library's cost."""

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _TABLES = 0xDA, 0xDB


def jpeg_size(content: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG whose header is as usual, up to its first scan; None of anything else.

    Usual: 8 bits a channel, one, three or four channels (ITU T.81, annex B). What comes after the header is not looked
    at. An image that gives None is for a library to open, which may find it right.
    """
    if content[:3] != b"\xff\xd8\xff":
        return None
    at, end, size = 2, len(content) - 10, None
    while at < end and content[at] == 0xFF:
        kind, length = content[at + 1], content[at + 2] << 8 | content[at + 3]
        if kind == _SCAN:
            return size
        if kind in _FRAMES:
            if size is not None or content[at + 4] != 8 or content[at + 9] not in (1, 3, 4):
                return None
            size = content[at + 7] << 8 | content[at + 8], content[at + 5] << 8 | content[at + 6]
            if 0 in size:
                return None
        elif kind < 0xC0 or kind == 0xFF or 0xD0 <= kind <= 0xD9 or (kind == _TABLES and (length - 2) % 65):
            return None
        at += 2 + length
    return None

"""The kernel for entries whose form lacks a space on a side: a trie of characters, walked from every character.

MetaCLIP 2's forms of Chinese, Thai, Lao, Tibetan, Burmese and Khmer entries, and of those that begin or end with
punctuation, can begin anywhere in the spaced text. The text is decoded and spaced into a scratch array, and the trie is
walked from each character that begins a form. An edge is the exact key (node, character) in an open-addressing table; a
node is its slot. The first step goes by a direct table.
"""

import numpy as np

from pipeline.compiled import compiled, flat
from pipeline.match.tokens import FREE, NONE, ONE, PLAIN, mixed, shift_for

FIRST = 1 << 16  # characters above take the first step through the table of edges as well
BLANK = 32


@flat
def find_edge(node, character, keys):
    """The node that a character leads to; where there is none, minus one less the free slot for it."""
    key = (np.uint64(node) << np.uint64(21)) | np.uint64(character)
    mask = np.uint64(len(keys) - 1)
    slot = mixed(key, key) >> shift_for(len(keys)) & mask
    while keys[slot] != key:
        if keys[slot] == FREE:
            return -1 - np.int64(slot)
        slot = (slot + ONE) & mask
    return np.int64(slot)


@compiled
def insert_forms(characters, offsets, ids, keys, info, first):
    """Puts forms (code points, with their offsets) into empty tables; returns the number of nodes."""
    nodes, root = 0, len(keys)  # the root has no slot
    for row in range(len(ids)):
        node = root
        for place in range(offsets[row], offsets[row + 1]):
            character = characters[place]
            child = find_edge(node, character, keys)
            if child < 0:
                child = -1 - child
                keys[child] = (np.uint64(node) << np.uint64(21)) | np.uint64(character)
                nodes += 1
            if node == root:
                first[min(character, FIRST)] = child + 1
            else:
                info[node] |= 1
            node = child
        info[node] = (info[node] & 1) | ((ids[row] + 1) << 1)
    return nodes


@flat
def space_characters(data, start, end, kinds, out):
    """Decodes the UTF-8 text data[start:end] into ``out`` by the spacing rule; returns the number of characters.

    ``out`` is scratch for three times the text's bytes and two. A byte that is no UTF-8 stands for itself, so nothing
    is read beyond the text.
    """
    out[0] = BLANK
    count, at = 1, start
    while at < end:
        byte = np.int32(data[at])
        if byte < 0x80:
            kind = kinds[byte]
            if kind == PLAIN:
                out[count] = byte
                count += 1
            elif kind == 1:
                out[count] = BLANK
                count += 1
            else:
                out[count], out[count + 1], out[count + 2] = BLANK, byte, BLANK
                count += 3
            at += 1
            continue
        size = 1 + (byte >= 0xC0) + (byte >= 0xE0) + (byte >= 0xF0)
        if at + size > end:
            size = 1
        character = byte if size == 1 else byte & (0x7F >> size)
        for i in range(1, size):
            character = (character << 6) | (np.int32(data[at + i]) & 0x3F)
        out[count] = character
        count += 1
        at += size
    out[count] = BLANK
    return count + 1


@flat
def match_characters(data, start, end, kinds, keys, info, first, characters, out, at):
    """Writes the entries of the text data[start:end] to ``out`` from ``at`` on, unsorted; returns the end of them.

    ``characters`` is scratch as for ``space_characters``. Returns ``NONE`` where ``out`` is too short.
    """
    count = space_characters(data, start, end, kinds, characters)
    root = len(keys)
    for begin in range(count):
        character = characters[begin]
        node = np.int64(first[min(character, FIRST)]) - 1
        if node < 0:
            continue
        if character >= FIRST:
            node = find_edge(root, character, keys)
        following = begin + 1
        while node >= 0:
            found = info[node]
            if found > 1:
                if at == len(out):
                    return NONE
                out[at] = (found >> 1) - 1
                at += 1
            if found & 1 == 0 or following == count:
                break
            node = find_edge(node, characters[following], keys)
            following += 1
    return at

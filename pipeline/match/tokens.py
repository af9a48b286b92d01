"""The kernel for entries between spaces: a trie of tokens, walked over the bytes of a text in place.

``" entry "`` is a substring of the spaced text exactly where the entry's tokens, split at single spaces (empty ones
kept), are consecutive tokens of the spaced text without its first and last space. A text's tokens end at white space
and around the punctuation of the spacing rule, so no spaced copy is made: between two commas there is an empty token,
as between two spaces.

Tokens and trie nodes live in open-addressing tables and are known by their slot, so the tables need no values. The
key of a token of at most fifteen bytes is those bytes and its length; of a longer one it is a hash, and then length
and bytes are compared. A collision costs a probe and never gives a wrong id. A node of depth one is its token's slot;
a deeper one is the slot of (parent, token) after the tokens' slots.

The loops avoid branches that depend on the text, which cost more than the work: candidates are written always and
counted only where they hold, and the trie is walked level by level for all tokens of a text. A node's ``INFO`` has a
filter of 32 bits for the tokens that lead on from it, so that most steps that lead nowhere are not looked up.
"""

import numpy as np

from pipeline.compiled import compiled, flat, load_word

# What a byte is to the spacing rule: part of a token, white space, punctuation. Entries are split at the space alone.
PLAIN, SPACE, MARK = 0, 1, 2
TEXT_BYTES = np.zeros(256, np.uint8)
TEXT_BYTES[list(b" \t\n\r")] = SPACE
TEXT_BYTES[list(b",.;:?!`")] = MARK
ENTRY_BYTES = np.zeros(256, np.uint8)
ENTRY_BYTES[ord(" ")] = SPACE

FREE = np.uint64(0xFFFFFFFFFFFFFFFF)
LONG = np.uint64(0xFE << 56)
SHORT = 15
# The columns of the table of tokens. INFO is a filter of the tokens that lead on << 32 | entry id + 1.
LOW, HIGH, INFO, PLACE = 0, 1, 2, 3
NONE = -1
ONE, BYTE, HALF, TOP = np.uint64(1), np.uint64(8), np.uint64(32), np.uint64(56)
ENTRY = np.uint64(0xFFFFFFFF)
FIRST_BYTES = np.array([(1 << 8 * i) - 1 for i in range(9)], np.uint64)


@flat
def mixed(a, b):
    """A hash of two words; its leading bits are the good ones."""
    return a * np.uint64(0x9E3779B97F4A7C15) ^ b * np.uint64(0xC2B2AE3D27D4EB4F)


@flat
def shift_for(slots):
    """How far to shift a hash right for a slot of a table with a power of two of slots."""
    shift = np.uint64(64)
    while slots > 1:
        slots >>= 1
        shift -= ONE
    return min(shift, np.uint64(63))


@flat
def filter_bit(token):
    """The place of a token's bit in a filter."""
    return HALF + ((np.uint64(token) * np.uint64(0xD6E8FEB86659FD93)) >> np.uint64(59))


@flat
def word_at(data, start, length):
    """The first ``length`` bytes, at most eight, from ``start`` on as a word."""
    length = min(max(length, 0), 8)
    if start + 8 <= len(data):
        return load_word(data, start) & FIRST_BYTES[length]
    word = np.uint64(0)
    for i in range(length):
        word |= np.uint64(data[start + i]) << (BYTE * np.uint64(i))
    return word


@flat
def token_key(data, start, end):
    """The two words of the key of the token data[start:end]."""
    length = end - start
    low, high = word_at(data, start, length), word_at(data, start + 8, length - 8)
    if length <= SHORT:
        return low, high | (np.uint64(length) << TOP)
    high = np.uint64(length)
    for at in range(start + 8, end, 8):
        high = mixed(high ^ (high >> HALF), word_at(data, at, end - at))
    return mixed(low, high), (high >> BYTE) | LONG


@flat
def find_token(data, start, end, tokens, blob):
    """The slot of a token; where it is not there, minus one less the free slot for it."""
    low, high = token_key(data, start, end)
    mask = np.uint64(len(tokens) - 1)
    slot = mixed(low, high) >> shift_for(len(tokens)) & mask
    while True:
        if (tokens[slot, LOW] == low) & (tokens[slot, HIGH] == high):
            if high < LONG or _same(data, start, end, tokens[slot, PLACE], blob):
                return np.int64(slot)
        elif tokens[slot, HIGH] == FREE:
            return -1 - np.int64(slot)
        slot = (slot + ONE) & mask


@flat
def _same(data, start, end, place, blob):
    at, length = np.int64(place >> HALF), np.int64(place & ENTRY)
    if length != end - start:
        return False
    same = 0
    while same < length and blob[at + same] == data[start + same]:
        same += 1
    return same == length


@flat
def child_key(node, token):
    """The key of the edge from a node by a token."""
    return (np.uint64(node) << HALF) | np.uint64(token)


@flat
def find_child(key, nodes):
    """The slot of the child with the key of an edge, or the free slot for it."""
    mask = np.uint64(len(nodes) - 1)
    slot = mixed(key, ONE) >> shift_for(len(nodes)) & mask
    while (nodes[slot, 0] != key) & (nodes[slot, 0] != FREE):
        slot = (slot + ONE) & mask
    return np.int64(slot)


@compiled
def insert_entries(data, offsets, ids, kinds, tokens, blob, nodes):
    """Puts entries into empty tables; returns the numbers of tokens, of blob bytes and of deeper nodes.

    ``offsets`` has the start and end of each entry in ``data``, ``ids`` its id.
    """
    count, used, deeper = 0, 0, 0
    for row in range(len(ids)):
        # The last node is a row and a column of a table: `rows[node, column]` is its INFO.
        rows, node, column = tokens, 0, INFO
        start, end = offsets[row], offsets[row + 1]
        first = True
        for at in range(start, end + 1):
            if at < end and kinds[data[at]] != SPACE:
                continue
            token = find_token(data, start, at, tokens, blob)
            if token < 0:
                token = -1 - token
                tokens[token, LOW], tokens[token, HIGH] = token_key(data, start, at)
                tokens[token, INFO] = 0
                if at - start > SHORT:
                    tokens[token, PLACE] = (np.uint64(used) << HALF) | np.uint64(at - start)
                    blob[used : used + at - start] = data[start:at]
                    used += at - start
                count += 1
            if first:
                node, first = token, False
            else:
                rows[node, column] |= ONE << filter_bit(token)
                key = child_key(node if column == INFO else node + len(tokens), token)
                child = find_child(key, nodes)
                if nodes[child, 0] == FREE:
                    nodes[child, 0], nodes[child, 1] = key, 0
                    deeper += 1
                rows, node, column = nodes, child, 1
            start = at + 1
        rows[node, column] = (rows[node, column] & ~ENTRY) | np.uint64(ids[row] + 1)
    return count, used, deeper


@flat
def split(data, start, end, kinds, starts, ends):
    """Writes where the tokens of the spaced text data[start:end] start and end, and returns their number."""
    count, begin = 0, start
    for place in range(start, end):
        kind = kinds[data[place]]
        starts[count], ends[count] = begin, place
        count += kind != PLAIN
        starts[count], ends[count] = place, place + 1
        count += kind == MARK
        begin = begin if kind == PLAIN else place + 1
    starts[count], ends[count] = begin, end
    return count + 1


@flat
def look_up(data, count, starts, ends, tokens, blob, keys, found):
    """Writes the slot of each token of a text, ``NONE`` for one that no entry has, and ``NONE`` after the last."""
    if ends[count - 1] + 16 <= len(data):
        for i in range(count):
            start, length = starts[i], ends[i] - starts[i]
            keys[0, i] = load_word(data, start) & FIRST_BYTES[min(length, 8)]
            high = load_word(data, start + 8) & FIRST_BYTES[min(max(length - 8, 0), 8)]
            keys[1, i] = high | (np.uint64(min(length, 0xFE)) << TOP)
    else:
        for i in range(count):
            keys[0, i], keys[1, i] = token_key(data, starts[i], ends[i])
    mask, shift = np.uint64(len(tokens) - 1), shift_for(len(tokens))
    for i in range(count):
        low, high = keys[0, i], keys[1, i]
        slot = mixed(low, high) >> shift & mask
        while (tokens[slot, LOW] != low) | (tokens[slot, HIGH] != high):
            if tokens[slot, HIGH] == FREE:
                slot = FREE
                break
            slot = (slot + ONE) & mask
        found[i] = np.int64(slot)
        if ends[i] - starts[i] > SHORT:
            found[i] = max(find_token(data, starts[i], ends[i], tokens, blob), NONE)
    found[count] = NONE


@flat
def walk(count, found, tokens, nodes, place, following, out, at):
    """Walks the trie from every token, level by level; writes entries and returns their end, as ``match_tokens``."""
    if at + count > len(out):
        return NONE
    going = 0
    for i in range(count):
        token, after = found[i], found[i + 1]
        info = tokens[np.uint64(token), INFO] if token >= 0 else np.uint64(0)
        out[at] = np.int64(info & ENTRY) - 1
        at += (info & ENTRY) != 0
        place[going], following[going] = token, i + 1
        going += np.int64(info >> filter_bit(after) & ONE) & (after >= 0)
    mask, shift = np.uint64(len(nodes) - 1), shift_for(len(nodes))
    while going:
        if at + going > len(out):
            return NONE
        left = 0
        for i in range(going):
            step = following[i]
            after = found[step + 1]
            key = child_key(place[i], found[step])
            slot = mixed(key, ONE) >> shift & mask
            while (nodes[slot, 0] != key) & (nodes[slot, 0] != FREE):
                slot = (slot + ONE) & mask
            info = nodes[slot, 1] if nodes[slot, 0] == key else np.uint64(0)
            out[at] = np.int64(info & ENTRY) - 1
            at += (info & ENTRY) != 0
            place[left], following[left] = np.int64(slot) + len(tokens), step + 1
            left += np.int64(info >> filter_bit(after) & ONE) & (after >= 0)
        going = left
    return at


@flat
def match_tokens(data, start, end, kinds, tokens, blob, nodes, scratch, keys, out, at):
    """Writes the entries of the text data[start:end] to ``out`` from ``at`` on, unsorted; returns the end of them.

    ``scratch`` has three rows, ``keys`` two, of more than three times the text's bytes. Returns ``NONE`` where ``out``
    is too short.
    """
    starts, ends, found = scratch[0], scratch[1], scratch[2]
    count = split(data, start, end, kinds, starts, ends)
    look_up(data, count, starts, ends, tokens, blob, keys, found)
    return walk(count, found, tokens, nodes, starts, ends, out, at)

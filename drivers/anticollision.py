"""Several cards at one reader: the part of `Iso14443a` that is loaded when a card first lies beside another.

    anticollision.collided(cards, frame, part)      # the next bit-wise request, ISO/IEC 14443-3 6.5.3.1

Where the answers of two cards differ the reader goes on with those that have a 1 there; the others fall silent and are
found by a later request, when this one is in HALT. `part` holds what is known of the cascade level: `cards._bits` bits.
"""

from micropython import const

from drivers.presence import LENGTH, MISSED, MOST

_SELECT_LEVEL_1 = const(0x93)
_NOTHING = const(0x20)
_TIMEOUT_US = const(2500)
_MISSES = const(3)


def collided(cards, frame, part):
    """Ask again with one more bit; gives the ms to wait for the answer."""
    cards._collided = True
    bits = cards._bits
    at = bits >> 3
    differ = cards.transport.collision()
    # Nor do two UIDs first differ in their check byte
    if differ < 0 or not bits <= (at << 3) + differ < 32:
        return cards._refused()
    differ += at << 3
    _merge(frame, part, bits)
    index = at + 1
    while index < 5:
        part[index] = frame[index - at + 1]
        index += 1
    at = differ >> 3
    part[at] = part[at] & (1 << (differ & 7)) - 1 | 1 << (differ & 7)
    cards._bits = bits = differ + 1
    at = bits >> 3
    bits &= 7
    frame[1] = _SELECT_LEVEL_1 + 2 * cards._level
    frame[2] = _NOTHING + (at << 4) + bits
    index = 0
    while index < 5:
        frame[3 + index] = part[index]
        index += 1
    cards.transport.send(2 + at + (bits > 0), bits << 4 | bits, _TIMEOUT_US)
    return 2


def _merge(frame, part, bits):
    """The first byte that came completes the one that was begun."""
    at = bits >> 3
    bits &= 7
    known = (1 << bits) - 1
    part[at] = part[at] & known | frame[1] & ~known


def joined(cards, frame, part, outcome):
    """Put what is known of the level before what came; gives the length of both, or a bad `outcome` as it is."""
    bits = cards._bits
    cards._bits = 0
    at = bits >> 3
    if outcome != 5 - at:
        return -1
    _merge(frame, part, bits)
    frame[1] = part[at]
    index = 5
    while index > at:
        frame[index] = frame[index - at]
        index -= 1
    while index:
        frame[index] = part[index - 1]
        index -= 1
    return 5


def known(cards, entries, fresh):
    """`fresh` was read while others are known: gives the entry that it has, which is `fresh` itself when it is new.

    A card that did not answer its SELECT while another did, three times in a row, is no longer there.
    """
    count = cards._count
    found = fresh
    index = 0
    while index < count:
        card = entries[index]
        length = card[LENGTH]
        at = 0
        if length == fresh[LENGTH]:
            while at < length and card[at] == fresh[at]:
                at += 1
        if at == length:
            found = card
            found[MISSED] = 0
        index += 1
    if found is fresh and count < MOST:
        cards._count = count + 1
    gone = cards._absent
    if gone is not None and gone is not found and not cards._collided:
        gone[MISSED] += 1
        if gone[MISSED] >= _MISSES:
            index = 0
            while entries[index] is not gone:
                index += 1
            entries.append(entries.pop(index))
            cards._count -= 1
    return found

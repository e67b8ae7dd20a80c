"""Takes a page of a full reconciliation of the list. The rarest part of sync/link.py.

    result = await pages.take(link, payload)

Loaded when a page comes and dropped afterwards. What a page does to the list, and what it never does:
storage/cardpages.py and docs/protocol.md, "list: page".
"""

import asyncio
from struct import unpack_from

from micropython import const

from storage.allowlist import ListFull
from sync import messages
from sync.messages import PUT, REVOKE, Refused, expect, numbers, verify

_MAC = const(16)
_HEADER = const(20)
_CARD = const(16)
_MAX_CARDS = const(32)
_MAX_GROUP = const(63)
_MAX_USES = const(16)


class Page:
    """Cards from position `first` up to, not including, `last`, at `revision` of the office `epoch`.

    It is iterable any number of times while its data stands: (state, pseudonym, from, until, group, key version, uses).
    """

    def __iter__(self):
        data = self._data
        for at in range(_HEADER, _HEADER + _CARD * self.count, _CARD):
            # Validity has three bytes: two and one.
            operation, pseudonym, start, start_high, end, end_high, group, flags = unpack_from("<B7sHBHBBB", data, at)
            # The states of storage.entry are the operations of a change, counted from 0.
            yield (
                operation - PUT,
                pseudonym,
                start | start_high << 16,
                end | end_high << 16,
                group,
                flags & 3,
                flags >> 2,
            )


def parse_page(key, nonce, data):
    """Return the authentic Page in `data`, made for the session `nonce`, every card of it checked."""
    end = len(data) - _MAC
    expect(data, end + _MAC, _HEADER + _MAC)
    page = Page()
    page._data = data
    count = page.count = data[2] | data[3] << 8
    bad = data[1] != 2 or count > _MAX_CARDS or end != _HEADER + _CARD * count
    if not bad:
        # The nonce is not sent: a page that was recorded in another session is worth nothing.
        verify(key, bytes(data[:end]) + nonce + bytes(data[end:]), end + len(nonce))
        (page.epoch,) = unpack_from("<I", data, 4)
        page.revision, page.first, page.last = numbers(data, "<III", 8)
        for at in range(_HEADER, end, _CARD):
            bad |= not PUT <= data[at] <= REVOKE or data[at + 14] > _MAX_GROUP or data[at + 15] >> 2 > _MAX_USES
    if bad:
        raise Refused("bad list page")
    return page


async def take(link, payload):
    """Make the list be what a page says; return the result that tells what became of it. The door says its state."""
    page = parse_page(link._purpose(b"list"), link._nonce, payload)
    cards = link._allowlist
    host = link._host
    before = cards.revision
    under_way = cards.reconciling
    try:
        for left_out in cards.reconcile(page.epoch, page.revision, page.first, page.last, page):
            if left_out:
                link.failed += 1
                host.list_full(left_out)
            await asyncio.sleep_ms(0)  # a card may be waiting
    except ListFull:
        pass  # told already, and the rest of the page is done
    except ValueError:
        return messages.MALFORMED  # not the next one, or against its own limits: nothing was changed
    finally:
        link.state_changed()
    if under_way and not cards.reconciling:
        host.list_changed(before, page.revision)

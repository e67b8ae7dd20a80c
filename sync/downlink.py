"""Carries out what upstream orders: list deltas, pages and commands. The rare half of sync/link.py.

    result = await downlink.change_list(link, payload)
    result = downlink.command(link, payload, retained)

Loaded when an order comes and dropped afterwards: a stock ESP32 keeps loaded code in the heap.
"""

import asyncio

from micropython import const

from storage.allowlist import ListFull
from sync import messages, orders

_PAGE = const(2)
_MOST_RESULTS = const(4)
# Eight refused commands in a row are recorded and answered, then one in 10 s: each record costs flash.
_REFUSAL_S = const(10)
_REFUSAL_BURST_S = const(70)
# Eight commands at once are carried out, then one in 5 s. Four more are left to those by two persons: whatever else
# runs wild at the office must not keep them out.
_COMMAND_S = const(5)
_BURST_S = const(35)
_APPROVED_BURST_S = const(55)
# What needs a second person.
_APPROVED = (
    messages.OP_UNLOCK,
    messages.OP_DROP_CARD_KEY,
    messages.OP_PROP,
    messages.OP_LOWER_CLOCK,
    messages.OP_APPLY,
    messages.OP_DROP_DOOR_KEY,
)


async def change_list(link, payload):
    """Apply a delta or a page; return the result that tells what became of it."""
    if len(payload) > 1 and payload[1] == _PAGE:
        from sync import pages

        return await pages.take(link, payload)
    delta = orders.parse_delta(link._purpose(b"list"), payload)
    allowlist = link._allowlist
    revision = allowlist.revision
    reaches = revision == delta.from_revision  # the delta takes the list to a revision
    # A reconciliation may have brought parts of the list further already: only what goes on from there is newer than
    # all of it, and that is taken at once, because it may be a cancellation.
    under_way = allowlist.reconciling
    applies = under_way[:2] == (delta.epoch, delta.from_revision) if under_way else reaches
    if revision and delta.epoch != allowlist.office_epoch:
        reaches = False
        if not applies or not under_way:
            return messages.MALFORMED
    try:
        if applies:
            problem = None
            for index in range(delta.count):
                fate = delta.fate(index)
                change = delta.change(index)
                try:
                    if change[0] == messages.FORGET and fate:
                        allowlist.forget(change[1])
                    elif change[0] == messages.PUT != fate and fate:
                        allowlist.set(fate - messages.PUT, *change[1:])
                    elif fate:
                        (allowlist.put, allowlist.suspend, allowlist.revoke)[change[0] - messages.PUT](*change[1:])
                except ListFull:
                    # Left out and told. The revision moves on: a cancellation must not wait behind it.
                    link.failed += 1
                    link._host.list_full(change[1])
                except OSError as error:
                    problem = error  # what follows may be a cancellation
                await asyncio.sleep_ms(0)  # a card may be waiting
            if problem:
                raise problem
            if reaches:
                allowlist.set_revision(delta.epoch, delta.to_revision)
                link._host.list_changed(revision, delta.to_revision)
            if under_way:
                # Below the position the list was right before and is now: the pages go on. A power cut before this
                # lets them begin anew.
                from storage import cardrevision

                cardrevision.set_progress(allowlist, delta.epoch, delta.to_revision, under_way[2])
    finally:
        link.state_changed()


def command(link, payload, retained):
    """Execute a command, or refuse it; return the result, which upstream is told."""
    operation = number = operator = 0
    nonce = link._nonce
    host = link._host
    try:
        order = orders.parse_command(link._purpose(b"cmd"), link._purpose(b"approve"), payload)
        operation = order.operation
        number = order.number
        operator = order.operator
        nonce = order.nonce
        if retained:
            result = messages.RETAINED
        elif nonce != link._nonce:
            result = messages.WRONG_SESSION
        elif number <= link._number:
            result = messages.REPLAYED
        else:
            # Its id is used up, whatever comes of it.
            link._number = number
            now_s = host.monotonic_s()
            if now_s - link._session_s > order.deadline_s:
                result = messages.TOO_LATE
            elif operation in _APPROVED and not order.approved:
                result = messages.NOT_APPROVED
            elif link._orders_s - now_s > (_APPROVED_BURST_S if order.approved else _BURST_S):
                result = messages.BUSY
            else:
                link._orders_s = max(link._orders_s, now_s) + _COMMAND_S
                result = host.command(order)
    except messages.Refused as error:
        result = error.result
    if result:
        now_s = host.monotonic_s()
        if link._refusals_s - now_s > _REFUSAL_BURST_S:
            return result
        link._refusals_s = max(link._refusals_s, now_s) + _REFUSAL_S
        host.command_refused(operation, result, operator)
    if len(link._results) < _MOST_RESULTS:
        link._results.append(orders.build_result(link._purpose(b"result"), operation, result, number, nonce))
    link.notify()
    return result

"""The command *collect*: records that upstream has acknowledged are sent once more. Loaded when it comes.

collect.begin(link, first)          # up to 1,024 records from number `first` on, in batches on `event`

They come from flash beside what goes on anyway. Upstream knows an event by its number, so what it has it does not
store twice; its acknowledgement of something old says nothing new to the door and is refused as any stale one.
"""

from asyncio import create_task, sleep_ms

from micropython import const

MODULES = ("sync.collect",)
_MOST = const(1024)
_SLOTS = const(32)
_HEADER = const(24)
_PAUSE_MS = const(200)  # what is new must get through between two batches


def begin(link, first):
    """Send them in the background, as long as this connection lasts."""
    create_task(_collect(link, first, min(first + _MOST - 1, link._journal.acked)))


async def _collect(link, first, last):
    journal = link._journal
    nonce = link._nonce
    topic = link._prefix + b"event"
    while first <= last:
        await sleep_ms(_PAUSE_MS)
        if link._nonce is not nonce:
            return  # another connection: upstream asks again for what it lacks
        room = link._client.ready and link._client.room(topic, _HEADER + 32 * _SLOTS)
        if not room:
            continue
        # One slot more: the last record may be a long one. What is sent beyond it is known upstream, or soon.
        count = journal.batch(room[: _HEADER + 32 * min(_SLOTS, last - first + 2)], first)
        if not count:
            return
        link._client.send(_HEADER + 32 * count, False, False)
        first = journal.last_in_batch + 1

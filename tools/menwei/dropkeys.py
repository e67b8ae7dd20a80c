"""Ends a rotation of card keys at the doors: each is told to forget the old version, and says what came of it.

    failed = await drop_at_doors(url, keys, store, ["front-gate"], "ntag424", 1, operator=7, approver=8, say=print)

The command needs an approver, is recorded at the door, and a door never forgets its newest version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from menwei.keyfile import KeyFile
from menwei.names import CREDENTIALS, RESULTS
from menwei.store import Store
from menwei.tls import Credentials, endpoint
from menwei.upstream import Upstream
from sync import messages

_PRESENT_S = 10
_ANSWER_S = 20
_REASON = 0
_KINDS = {name: number for number, name in CREDENTIALS.items()}


async def drop_at_doors(
    broker: str,
    keys: KeyFile,
    store: Store,
    doors: Iterable[str],
    kind: str,
    version: int,
    *,
    operator: int,
    approver: int,
    say: Callable[[str], None],
    tls: Credentials | None = None,
) -> list[str]:
    """Send the command to each door that is connected; return the doors that still hold the old version.

    Args:
        version: what doors call it, 1 to 3 (`menwei.cardkeys.door_version`).
    """
    host, port, context = endpoint(broker, tls)
    upstream = Upstream(host, port, keys, store, tls=context, serves=False)
    await upstream.start()
    failed = []
    try:
        for door in doors:
            result = await _drop(upstream, door, _KINDS[kind], version, operator, approver)
            say(f"{door}: {result}")
            if result != RESULTS[messages.DONE]:
                failed.append(door)
    finally:
        await upstream.stop()
    return failed


async def _drop(upstream: Upstream, door: str, kind: int, version: int, operator: int, approver: int) -> str:
    for _ in range(10 * _PRESENT_S):  # its state is kept by the broker, and comes at once if the door is there
        if door in upstream.sessions:
            break
        await asyncio.sleep(0.1)
    else:
        return "not connected, try again later"
    command = await upstream.drop_card_key(
        door, kind, version, operator=operator, approver=approver, reason=_REASON, deadline_s=_ANSWER_S
    )
    result = await command.wait(_ANSWER_S)
    return "no answer, try again later" if result is None else RESULTS.get(result, str(result))

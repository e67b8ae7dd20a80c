"""Sets the clock of a door that is ahead back to this computer's time: two persons answer for it (docs/time.md).

result = await lower_at_door(url, keys, store, "front-gate", operator=7, approver=8, reason=3)
"""

from __future__ import annotations

import asyncio

from menwei.keyfile import KeyFile
from menwei.names import RESULTS
from menwei.store import Store
from menwei.tls import Credentials, endpoint
from menwei.upstream import Upstream

_PRESENT_S = 10
_ANSWER_S = 10


async def lower_at_door(
    broker: str,
    keys: KeyFile,
    store: Store,
    door: str,
    *,
    operator: int,
    approver: int,
    reason: int,
    tls: Credentials | None = None,
) -> str:
    """Send the command to a door that is connected; return the name of its result, or why there is none.

    Raises:
        ValueError: the key file does not know the door, or one person would answer twice.
    """
    if door not in keys.doors:
        raise ValueError(f"{door} is not in the key file: it has {', '.join(keys.doors)}")
    if not approver or operator == approver:
        raise ValueError("a clock is set back by two persons: name an approver who is not the operator")
    host, port, context = endpoint(broker, tls)
    upstream = Upstream(host, port, keys, store, tls=context, serves=False)
    await upstream.start()
    try:
        for _ in range(int(10 * _PRESENT_S)):  # its state is kept by the broker, and comes at once if the door is there
            if door in upstream.sessions:
                break
            await asyncio.sleep(0.1)
        else:
            return "not connected, try again later"
        command = await upstream.lower_clock(door, operator=operator, approver=approver, reason=reason)
        result = await command.wait(_ANSWER_S)
        return "no answer, try again later" if result is None else RESULTS.get(result, str(result))
    finally:
        await upstream.stop()

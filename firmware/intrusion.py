"""The alarm *intrusion*: it ends ten minutes after the last message with a wrong MAC. Loaded when one has come.

asyncio.create_task(intrusion.outlast(recorder))    # the alarm is on
"""

from asyncio import sleep_ms

from micropython import const

from storage import record

MODULES = ("firmware.intrusion",)
_LOOK_MS = const(10_000)
_QUIET_LOOKS = const(60)
_MOST = const(0x3FFFFFFF)


async def outlast(recorder):
    """Wait until nothing forged has come for ten minutes; the record says how many there were."""
    link = recorder.link
    before = link.forged
    seen = before
    looks = 0
    while looks < _QUIET_LOOKS:
        await sleep_ms(_LOOK_MS)
        looks += 1
        if link.forged != seen:
            seen = link.forged
            looks = 0
    recorder.alarm_off(record.ALARM_INTRUSION, min(seen - before + 1, _MOST))

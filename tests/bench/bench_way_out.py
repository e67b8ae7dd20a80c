"""Exit and fire to the bolt withdrawn, in real time, while the firmware serves, hangs, is stopped, erases or starts.

Both kinds of lock; measured by the mechanics, which are a process of their own (tests/system/way_out.py). The
alternative is a button that only the firmware senses, in the same states; where it never releases, the time after which
it was given up counts.
"""

import asyncio
import tempfile
from pathlib import Path

from tests.system.way_out import BY_SOFTWARE, GIVEN_UP_S, WAYS
from tests.system.way_out import measure as press_all


def measure():
    """Return the figures in ms."""
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(press_all(Path(folder)))
    waits_ms = {}
    for (_, _, way), measured_us in found.items():
        waits_ms.setdefault(way, []).append(GIVEN_UP_S * 1000 if measured_us is None else measured_us / 1000)
    for (fail_safe, state, way), measured_us in found.items():
        kind = "fail-safe" if fail_safe else "fail-secure"
        print(f"way out: {kind}, {state}, {way}:", "never" if measured_us is None else f"{measured_us / 1000:.1f} ms")
    worst = {way: round(max(waits), 1) for way, waits in waits_ms.items()}
    return {f"{way}.worst_ms": (worst[way], worst[BY_SOFTWARE]) for way in WAYS}

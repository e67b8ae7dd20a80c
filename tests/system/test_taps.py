"""Ten thousand taps in virtual time: the heap does not grow, across a wrap of the millisecond ticks."""

import pytest
from system.listing import grant

from menwei.simdoor import SimDoor

DOOR_KEY = bytes(range(32))
UID = "04a1b2c3d4e5f6"
TAPS = 10_000
PULL_EVERY = 100
SAMPLES = (33, 22, 11, 0)  # taps before each tenth of the way: the journal's next key is prepared once in 32 records
PREPARED = 1024  # that key with its hash objects takes 416 bytes, what a task has in hand some more
ONCE = 512  # the first self-test, the first hour and the first alarm leave so much; 9,000 leaks would be far more
WRAP_S = 60  # the simulated ticks start so long before their wrap


@pytest.mark.parametrize("taps", [TAPS])
async def test_ten_thousand_taps(tmp_path, taps):
    """Every tap is granted; after collection the heap at the end is not larger than after a tenth."""
    grant(tmp_path / "flash.img", DOOR_KEY, UID)
    door = SimDoor(tmp_path, start_unix=1_793_664_000, seed=1)
    settings = {"site": "soak", "door": "one", "host": "127.0.0.1", "port": 1, "wifi_ssid": "soak"}
    door.provision(
        {
            "door_key": DOOR_KEY.hex(),
            "journal_key": "22" * 16,
            "journal_epoch": "01020304",
            "wifi_secret": "secret",
            "settings": settings,
        }
    )
    await door.start()
    try:
        began = (await door.state())["t_us"]
        await door.ask("net", 0)
        await door.run(30)
        heaps = {}
        for tap in range(1, taps + 1):
            await door.card(UID, 0.12)
            await door.run(0.3)
            if tap % PULL_EVERY == 0:
                await door.ask("pull")
                await door.run(9)
            if -tap % (taps // 10) in SAMPLES:
                await door.run(20)  # what is done ahead in idle time is there each time
                state = await door.state()
                heaps.setdefault(tap + -tap % (taps // 10), []).append(state["heap"])
        assert state["t_us"] - began > WRAP_S * 1_000_000
        assert state["openings"] == taps // PULL_EVERY
    finally:
        await door.stop()
    granted = sum(line.endswith("granted reason=ok") for line in door.lines)
    assert granted == taps
    print(heaps)
    first, last = heaps[taps // 10], heaps[taps]
    assert min(last) <= min(first) + ONCE, heaps
    # At some looks there is what is needed to join the network, which is loaded for each attempt.
    assert max(last) <= max(first) + PREPARED, heaps

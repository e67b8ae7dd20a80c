"""Bringing a parcel to a door: what is refused before anything is sent."""

import pytest
from upstream_world import DOOR

from menwei.deliver import deliver
from menwei.store import Store


async def test_two_persons_a_known_door_and_what_a_parcel_may_say(world):
    store = Store(":memory:")
    url = f"mqtt://127.0.0.1:{world.port}"

    async def sent(door=DOOR, content=None, approver=8):
        content = content or {"settings": {"open_s": 9}}
        return await deliver(url, world.keys, store, door, content, operator=7, approver=approver, say=print)

    for approver in (0, 7):
        with pytest.raises(ValueError, match="two persons"):
            await sent(approver=approver)
    with pytest.raises(ValueError, match="not in the key file"):
        await sent("back-gate")
    with pytest.raises(ValueError, match="nothing else"):
        await sent(content={"erase": True})


async def test_a_door_that_is_not_there_is_told(world, monkeypatch):
    monkeypatch.setattr("menwei.deliver._PRESENT_S", 0.2)
    url = f"mqtt://127.0.0.1:{world.port}"
    content = {"settings": {"open_s": 9}}
    said = await deliver(url, world.keys, Store(":memory:"), DOOR, content, operator=7, approver=8, say=print)
    assert said == "not connected, try again later"

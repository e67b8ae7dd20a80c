"""What several files need."""

import pytest
from upstream_world import World

from menwei.broker import EmbeddedBroker


@pytest.fixture
async def world(tmp_path):
    async with EmbeddedBroker() as broker:
        world = World(tmp_path, broker.port)
        await world.start()
        yield world
        await world.door.disconnect()
        await world.stop()

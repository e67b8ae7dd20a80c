"""Wi-Fi and MQTT client on the simulated board: an hour without a network, in virtual time."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import aiomqtt
from interpreter import micropython_environment

from menwei.broker import EmbeddedBroker
from menwei.unixport import HEAP

HERE = Path(__file__).parent


async def test_an_hour_without_wifi():
    micropython = Path(sys.executable).with_name("micropython")
    async with EmbeddedBroker() as broker, aiomqtt.Client("127.0.0.1", broker.port) as far:
        await far.subscribe("t/up", qos=1)
        process = await asyncio.create_subprocess_exec(
            micropython,
            "-X",
            f"heapsize={HEAP}",
            HERE / "sim_client.py",
            str(broker.port),
            env=micropython_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        async with asyncio.timeout(60):
            text = (await process.communicate())[0].decode()
            received = [(await anext(far.messages)).payload for _ in range(2)]
    assert process.returncode == 0, text
    assert received == [b"before", b"after"], text
    assert text.count("acknowledged") == 2, text
    assert "still True" in text
    assert "Traceback" not in text
    # A pause of the radio's back-off is 90 s at most, joining and the pause of the client some seconds.
    found = re.search(r"found again after (\d+)", text)
    assert int(found[1]) <= 100, text

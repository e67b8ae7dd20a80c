"""The flash of a whole simulated door, inspected: nothing is wrong with it, and it tells no secret."""

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from system.listing import grant, pseudonym
from test_taps import UID

from menwei.keyfile import KeyFile
from menwei.simdoor import SimDoor

MENWEI = Path(sys.executable).with_name("menwei")
DOOR_KEY, JOURNAL_KEY, EPOCH = bytes(range(32)), b"\x22\xab" * 8, bytes.fromhex("01020304")
WIFI = "correct horse battery"
TAPS = 40


@pytest.fixture
async def folder(tmp_path):
    """A door that let a card in 40 times, lost power, and went on."""
    grant(tmp_path / "flash.img", DOOR_KEY, UID)
    keys = KeyFile("soak")
    keys.add("one", DOOR_KEY, {EPOCH: JOURNAL_KEY})
    keys.save(tmp_path / "keys.json")
    door = SimDoor(tmp_path, start_unix=1_793_664_000, seed=1)
    settings = {"site": "soak", "door": "one", "host": "127.0.0.1", "port": 1, "wifi_ssid": "soak"}
    door.provision(
        {
            "door_key": DOOR_KEY.hex(),
            "journal_key": JOURNAL_KEY.hex(),
            "journal_epoch": EPOCH.hex(),
            "wifi_secret": WIFI,
            "settings": settings,
        }
    )
    await door.start()
    try:
        await door.ask("net", 0)
        await door.run(30)
        for _ in range(TAPS):
            await door.card(UID, 0.12)
            await door.run(0.3)
        await door.cut()
        await door.start()
        await door.run(30)
        await door.card(UID, 0.12)
        await door.run(1000, stretch=10)
    finally:
        await door.stop()
    return tmp_path


def inspect(folder, *words, columns=80):
    command = [MENWEI, "image", "inspect", folder / "flash.img", *words]
    environment = {**os.environ, "COLUMNS": str(columns)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def secrets():
    """All that must not be seen, as bytes."""
    found = [bytes.fromhex(UID), pseudonym(DOOR_KEY, UID), pseudonym(DOOR_KEY, UID)[1:], DOOR_KEY, WIFI.encode()]
    key = JOURNAL_KEY
    for _ in range(100):  # further than the door came
        found.append(key)
        key = sha256(b"menwei next key" + key).digest()[:16]
    return found


def spoil(folder):
    """Change one bit of a record: it is found."""
    path = folder / "flash.img"
    image = bytearray(path.read_bytes())
    at = image.index(pseudonym(DOOR_KEY, UID), 0x280000)  # in a record of the journal
    image[at] ^= 1
    path.write_bytes(image)
    done = inspect(folder, "--keys", folder / "keys.json", columns=120)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "changed" in done.stdout


async def test_a_whole_door(folder):
    image = (folder / "flash.img").read_bytes()
    shown = ""
    for words in ([], ["--keys", folder / "keys.json"], ["--json"], ["--json", "--keys", folder / "keys.json"]):
        done = inspect(folder, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        shown += done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert not told["findings"]
    assert told["cards"]["live"] == 1
    journal = told["journal"]
    assert journal["kinds"]["granted"] == TAPS + 1
    assert journal["boots"] == 2
    assert journal["verified"] == {
        "with": "start key",
        "right": journal["last"],
        "unchecked": 0,
        "behind_a_gap": 0,
        "first_right": 1,
    }
    assert pseudonym(DOOR_KEY, UID)[1:] in image  # so that the search below means something
    assert any(secret in image for secret in secrets()[5:])
    for secret in secrets():
        for form in (secret.hex(), secret.hex(" "), secret.hex(":"), str(secret)[2:-1], repr(list(secret))):
            assert form.lower() not in shown.lower()
    spoil(folder)

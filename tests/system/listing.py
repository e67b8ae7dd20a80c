"""Cards on the list of a simulated door that was not started yet."""

import subprocess
import sys
from pathlib import Path

from interpreter import micropython_environment

from menwei.build import ROOT
from storage.mac import Hmac, derive


def pseudonym(door_key, uid):
    """Return the pseudonym of a UID, hex digits, at a door (docs/protocol.md)."""
    mac = Hmac(derive(door_key, b"pseudonym"))
    mac.update(b"\x01" + bytes.fromhex(uid))
    return mac.digest()[:7]


def grant(flash, door_key, uid):
    """Put a card on the list in a flash image."""
    script = ROOT / "tests" / "system" / "grant_card.py"
    command = [Path(sys.executable).with_name("micropython"), script, flash, pseudonym(door_key, uid).hex()]
    result = subprocess.run(command, env=micropython_environment(), capture_output=True, text=True, check=False)
    assert result.stdout.strip().endswith("granted"), result.stdout + result.stderr

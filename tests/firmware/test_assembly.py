"""A start for which there is no room for the radio."""

import subprocess
from pathlib import Path

from interpreter import MICROPYTHON, micropython_environment


def test_a_radio_without_memory_keeps_nobody_out():
    """The door goes on without a link and says so."""
    script = Path(__file__).with_name("assembly_link.py")
    words = [MICROPYTHON, "-X", "heapsize=2M", script]
    run = subprocess.run(words, env=micropython_environment(), capture_output=True, text=True, check=False)
    without, number = run.stdout.splitlines()
    assert without.startswith("None") and "0x0101" in without and "link" in without
    assert number == "7"

"""What a start reads from both stores of a 4 MB board when they are full, and with how large a buffer."""

from tests.bench.unix_port import run

CARDS = 24_000
SEED = 1
LARGEST_BUFFER = 2_048


def measure():
    """Return the figures."""
    result = run("mount_door.py", CARDS, SEED)
    if result["longest"] > LARGEST_BUFFER:
        raise SystemExit(f"a start reads {result['longest']} bytes at once, at most {LARGEST_BUFFER} are allowed")
    return {
        "mount.reads": (result["reads"], result["whole_reads"]),
        "mount.bytes": (result["bytes"], result["whole_bytes"]),
    }

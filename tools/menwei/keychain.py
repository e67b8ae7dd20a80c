"""The journal keys that follow from a door's start key (docs/flash-formats.md, "Forward-secure sealing").

key_of(start_key, 4711)     # 16 bytes
"""

from __future__ import annotations

from functools import lru_cache

from storage.record import next_key

# A busy door moves its key some 200 times a day: fifty years. It bounds the work that a forged header can ask for.
MOST_GENERATIONS = 4_000_000
_STRIDE = 1024


@lru_cache(maxsize=4096)
def _milestone(start_key: bytes, number: int) -> bytes:
    key = start_key if number == 0 else _milestone(start_key, number - 1)
    for _ in range(_STRIDE if number else 0):
        key = next_key(key)
    return key


@lru_cache(maxsize=4096)
def key_of(start_key: bytes, generation: int) -> bytes:
    """Return the journal key of a generation, 16 bytes.

    Raises:
        ValueError: further than any door gets.
    """
    if not 0 <= generation <= MOST_GENERATIONS:
        raise ValueError(f"key generation {generation} cannot be")
    for number in range(generation // _STRIDE + 1):  # bottom up: recursion stays flat
        key = _milestone(start_key, number)
    for _ in range(generation % _STRIDE):
        key = next_key(key)
    return key

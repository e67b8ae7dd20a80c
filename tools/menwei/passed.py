"""What of a passage counts for finding copies: menwei.copies judges it, menwei.store keeps it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Passed:
    """A passage of a card with a counter: what it certainly held afterwards, and between which seconds that was."""

    card: str
    counter: int
    counted: bool
    earliest: int
    latest: int
    door: str
    epoch: str
    seq: int

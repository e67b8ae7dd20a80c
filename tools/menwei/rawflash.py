"""What both readers of a flash image share: sectors, clean markers, checks, triples, and findings.

    if clean_count(sector) is None: ...            # not erased to the end
    findings.append(Finding("journal", "missing", "not in the ring", sector=17, seq=1043))

By docs/flash-formats.md alone: nothing here comes from `storage/`, so that a mistake made there is not made twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

SECTOR = 4096
# Program and erase cycles that makers of NOR flash promise (W25Q32JV datasheet, "min. 100K program-erase cycles").
RATED_ERASES = 100_000


@dataclass(frozen=True)
class Finding:
    """One thing that stands out in an image.

    Args:
        region: "cards" or "journal".
        what: one or two words, always the same ones for the same thing.
        text: what that means, for a person.
        sector: number within the region, from 0.
        slot: number within the sector.
        seq: sequence number of the first record concerned, `last` of the last one.
        wrong: False for what an ordinary power cut leaves behind and the door clears up by itself.
    """

    region: str
    what: str
    text: str
    sector: int | None = None
    slot: int | None = None
    seq: int | None = None
    last: int | None = None
    wrong: bool = True

    @property
    def where(self) -> str:
        """Sector and slot."""
        if self.sector is None:
            return ""
        return f"sector {self.sector}" + ("" if self.slot is None else f", slot {self.slot}")

    @property
    def numbers(self) -> str:
        """The sequence number, or from which to which."""
        if self.seq is None:
            return ""
        return str(self.seq) if self.last in (None, self.seq) else f"{self.seq}–{self.last}"

    def __str__(self) -> str:
        numbers = f"sequence {self.numbers}" if self.numbers else ""
        place = ", ".join(part for part in (self.where, numbers) if part)
        return f"{place}: {self.what}: {self.text}" if place else f"{self.what}: {self.text}"


def sectors(region: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each sector."""
    for number in range(len(region) // SECTOR):
        yield number, region[number * SECTOR : (number + 1) * SECTOR]


def little(data: bytes) -> int:
    """An integer of any width."""
    return int.from_bytes(data, "little")


def sealed(label: bytes, content: bytes, check: bytes) -> bool:
    """Whether `check` is the beginning of SHA-256(label ‖ content)."""
    return hashlib.sha256(label + content).digest()[: len(check)] == check


def clean_count(sector: bytes) -> int | None:
    """How often the sector was erased, by its clean marker; None without a valid one."""
    return little(sector[1:4]) if sector[0] == 0xE5 and sealed(b"menwei clean", sector[0:4], sector[4:8]) else None


def blank(data: bytes) -> bool:
    """Whether nothing was programmed here since the erase."""
    return data.count(0xFF) == len(data)


def happened(bits: int, index: int) -> bool:
    """Whether triple `index` is cleared, by majority."""
    return (bits >> 3 * index & 7).bit_count() < 2


def torn_triple(bits: int, index: int) -> bool:
    """Whether the three bits of a triple disagree."""
    return bits >> 3 * index & 7 not in (0, 7)


def flips(data: bytes) -> Iterator[bytes]:
    """The data with each single bit the other way round."""
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit >> 3] ^= 1 << (bit & 7)
        yield bytes(changed)


def worn(region: str, erases: dict[int, int]) -> list[Finding]:
    """Sectors that were erased more often than their maker promises."""
    return [
        Finding(
            region, "worn", f"erased {count:,} times, {RATED_ERASES:,} are promised; replace the controller", number
        )
        for number, count in erases.items()
        if count > RATED_ERASES
    ]

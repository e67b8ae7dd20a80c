"""What all writers of cards share: the card in front of the desk, outcomes, errors, and which writer serves a kind.

    writer = writer_for(desk, card, keys)     # keys: menwei.cardkeys.KindKeys
    writer.plan("write")                      # sentences: what would be done now
    outcome = writer.write()                  # or check(), rekey(), reset()

Every writer finds out for itself how far a card has come, so each of these may be repeated after an interruption.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

FACTORY = 0  # key version of a card that nobody has written


class CardError(Exception):
    """Something is wrong with the card, or with what was asked; the message says what to do."""


class CardGone(CardError):
    """The card went away or does not answer; it can be finished or reset."""


@dataclass(frozen=True)
class Card:
    """What the desk sees of a card before any key is used."""

    uid: bytes
    sak: int
    atqa: int
    magic: bool = False

    @property
    def random_uid(self) -> bool:
        """Whether the UID is another one next time: 4 bytes that begin with 08, ISO/IEC 14443-3 6.5.4."""
        return len(self.uid) == 4 and self.uid[0] == 0x08

    @property
    def iso(self) -> bool:
        """Whether it speaks ISO/IEC 14443-4, as NTAG 424 and DESFire do."""
        return bool(self.sak & 0x20)

    @property
    def classic(self) -> bool:
        """Whether it speaks MIFARE Classic: bit 4 of SAK (AN10833)."""
        return bool(self.sak & 0x08)


class Desk(Protocol):
    """What a writer needs of a desk (menwei.desk); all of it raises CardGone when the card does not answer."""

    def apdu(self, command: bytes) -> bytes:
        """ISO 7816-4 exchange."""

    def auth(self, letter: str, block: int, key: bytes) -> bool:
        """MIFARE Classic authentication; False: not the key, and the card is selected anew."""

    def read(self, block: int) -> bytes:
        """16 bytes of an authenticated sector."""

    def write(self, block: int, data: bytes) -> None:
        """Write 16 bytes into an authenticated sector."""


@dataclass
class Outcome:
    """What a card is after an action."""

    version: int  # FACTORY: blank
    done: list[str] = field(default_factory=list)  # sentences
    counter: int | None = None  # passages, of a classic card
    warnings: list[str] = field(default_factory=list)


class Writer:
    """What every writer has. `before_change(version)` is called before the first change of a card that was found so."""

    def __init__(self) -> None:
        self.before_change: Callable[[int], None] = lambda _found: None
        self.counter: int | None = None  # passages of a classic card, as far as they are known before it is changed
        self._announced = False

    def _changes(self, found: int) -> None:
        if not self._announced:
            self.before_change(found)
            self._announced = True

    def start_at(self, counter: int) -> None:
        """Begin a new passage counter no lower than this. Only classic cards have one."""


def refuse_random(card: Card) -> None:
    """Keys and lists hang on the UID, so one that changes is of no use."""
    if card.random_uid:
        raise CardError(
            "this card shows a random UID (08…) and cannot be enrolled; set it to its fixed UID with the maker's tool, "
            "or take another card"
        )


def magic_warning(card: Card) -> list[str]:
    """A card whose UID can be rewritten is most likely a copy of another."""
    if not card.magic:
        return []
    return ["the card answers as a magic card (Gen1A): its UID can be rewritten, it may be a copy of another card"]


def writer_for(desk: Desk, card: Card, kind: str, keys) -> Writer:
    """The writer of a kind; `keys` is None for uid.

    Raises:
        CardError: the card is not of this kind.
    """
    from menwei.cardwriter_classic import ClassicWriter
    from menwei.cardwriter_ev2 import Ev2Writer
    from menwei.cardwriter_uid import UidWriter

    if kind == "uid":
        return UidWriter(card)
    refuse_random(card)
    if kind == "classic":
        if not card.classic:
            raise CardError(
                f"this is no MIFARE Classic card (SAK {card.sak:02X}); menwei card read shows what it may be"
            )
        return ClassicWriter(desk, card, keys)
    if not card.iso or len(card.uid) != 7:
        raise CardError(f"this is no {kind} card (SAK {card.sak:02X}); menwei card read shows what it may be")
    return Ev2Writer(desk, card, keys)

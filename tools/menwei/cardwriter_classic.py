"""MIFARE Classic: one sector with keys of this card alone, and the passage counter in its first two blocks.

    writer = ClassicWriter(desk, card, keys)
    writer.write()        # counter blocks first, trailer last
    check_access_bits(bytes.fromhex("7F078869"))

The trailer holds both keys and the access bits, and a wrong one kills the sector for ever. It is written last, in one
command, only by _write_trailer(), after the bits were checked. Only a card that leaves the field in the 3 ms while the
trailer itself is programmed can be lost.
"""

from __future__ import annotations

from menwei.carddiversify import ClassicKeys, classic_keys, counter_block, counter_of
from menwei.cardkeys import KindKeys, door_version
from menwei.cardwriter import FACTORY, Card, CardError, CardGone, Desk, Outcome, Writer, magic_warning

ACCESS = bytes.fromhex("7F078869")  # data blocks 000, trailer 011, general purpose byte 69
FACTORY_ACCESS = bytes.fromhex("FF078069")  # data blocks 000, trailer 001
FACTORY_KEY = b"\xff" * 6
_TRAILER_OK = (0, 1, 1)
_TRAILER_WRONG = {
    (0, 0, 0): "key A could change the keys, key B could be read, and the access bits would be locked for ever",
    (0, 1, 0): "key B could be read, and the trailer would be locked for ever",
    (1, 0, 0): "the access bits would be locked for ever",
    (1, 1, 0): "the trailer would be locked for ever",
    (0, 0, 1): "key A could change the keys, and key B could be read",
    (1, 0, 1): "the keys would be locked for ever",
    (1, 1, 1): "the trailer would be locked for ever",
}
_COUNTER_MAX = (1 << 18) - 1


def check_access_bits(access: bytes) -> None:
    """Refuse bytes 6 to 8 (or 9) of a trailer that are inconsistent or unsafe (MF1S50yyX 8.7).

    Raises:
        ValueError: says what would happen to the sector.
    """
    first, second, third = access[:3]
    c1, c2, c3 = second >> 4, third & 15, third >> 4
    if (first & 15, first >> 4, second & 15) != (c1 ^ 15, c2 ^ 15, c3 ^ 15):
        raise ValueError("the access bits and their complements disagree: the card would lock the sector for ever")
    conditions = [(c1 >> block & 1, c2 >> block & 1, c3 >> block & 1) for block in range(4)]
    if conditions[3] != _TRAILER_OK:
        raise ValueError(f"unsafe access bits: {_TRAILER_WRONG[conditions[3]]}")
    if any(condition != (0, 0, 0) for condition in conditions[:2]):
        raise ValueError("unsafe access bits: a door could not read or write the passage counter")
    if conditions[2] != (0, 0, 0):
        raise ValueError("unsafe access bits: the third block of the sector would be locked")


class ClassicWriter(Writer):
    """Writes one card. `start` is the first value of a new counter: higher than any that a door may remember."""

    def __init__(self, desk: Desk, card: Card, keys: KindKeys, start: int = 1) -> None:
        super().__init__()
        if not 1 <= start <= _COUNTER_MAX:
            raise CardError(f"a passage counter lies between 1 and {_COUNTER_MAX}; take another card")
        self._desk = desk
        self._card = card
        self._keys = keys
        self._start = start
        self._first = 4 * keys.number
        self._trailer = self._first + 3
        self._done: list[str] = []

    def start_at(self, counter: int) -> None:
        """Begin a new counter at this value."""
        self._start = min(max(self._start, counter), _COUNTER_MAX)

    # What the card is

    def _of(self, version: int) -> ClassicKeys:
        read, write = self._keys.read_key(version), self._keys.write_key(version)
        return classic_keys(read, write, self._card.uid, self._keys.number)

    def _enter(self, version: int) -> bool:
        """Authenticate for writing the trailer: key B of ours, key A of the factory's."""
        if version == FACTORY:
            return self._desk.auth("A", self._trailer, FACTORY_KEY)
        return self._desk.auth("B", self._trailer, self._of(version).key_b)

    def _detect(self, factory_first: bool) -> int:
        """The version whose keys the sector has; the session with it is on."""
        older = [version for version in sorted(self._keys.masters, reverse=True) if self._keys.known(version)]
        versions = [*self._keys.versions, *(version for version in older if version not in self._keys.versions)]
        for version in [FACTORY, *versions] if factory_first else [*versions, FACTORY]:
            if self._enter(version):
                return version
        raise CardError(
            f"the keys of sector {self._keys.number} are none of ours: it is a card of another community or issuer; "
            "with the key file that it was written with it can be reset"
        )

    def _counters(self, version: int) -> list[int | None]:
        key = self._of(version).counter
        return [counter_of(key, block, self._desk.read(block)) for block in (self._first, self._first + 1)]

    # Writing

    def _put(self, block: int, data: bytes) -> None:
        self._desk.write(block, data)
        if self._desk.read(block) != data:
            raise CardError(f"block {block} does not keep what was written; take another card")

    def _write_trailer(self, key_a: bytes, access: bytes, key_b: bytes) -> None:
        """The only way to a trailer."""
        if access != FACTORY_ACCESS:  # which is what the card had when it was bought
            try:
                check_access_bits(access)
            except ValueError as error:
                raise CardError(f"nothing was written: {error}") from error
        if len(key_a) != 6 or len(key_b) != 6 or len(access) != 4:
            raise CardError("nothing was written: a trailer is 6 bytes of key A, 4 of access and 6 of key B")
        self._desk.write(self._trailer, key_a + access + key_b)

    def plan(self, action: str) -> list[str]:
        """What `action` would do."""
        sector, blocks = self._keys.number, f"blocks {self._first} and {self._first + 1}"
        wanted = f"version {self._keys.current}"
        return {
            "write": [
                f"{blocks} get a counter",
                f"the trailer of sector {sector} gets keys of {wanted}",
                "all is read",
            ],
            "check": [f"sector {sector} is read with both keys, nothing is written"],
            "rekey": [f"the counter is copied under keys of {wanted}", f"the trailer of sector {sector} is written"],
            "reset": [f"the trailer of sector {sector} gets the factory's keys", f"{blocks} are emptied"],
        }[action]

    def write(self) -> Outcome:
        """Write a blank card; finish one that was interrupted; mend the counter of one that is written."""
        version, wanted = self._detect(factory_first=True), self._keys.current
        if version not in (FACTORY, wanted):
            raise CardError(f"the card is written already, with version {version}; run: menwei card rekey")
        warnings = magic_warning(self._card)
        counters = self._counters(wanted)
        if version == FACTORY or counters == [None, None]:
            self._changes(version)
            # A counter that is there is a write that was interrupted; no door has seen it.
            if version != FACTORY:
                warnings.append("both counters were unreadable; doors may report a copied card once")
            counter = max(self._start, *(value or 0 for value in counters))
            self._put(self._first, counter_block(self._of(wanted).counter, self._first, counter, door_version(wanted)))
            self._put(self._first + 1, bytes(16))
            self._done.append(f"the passage counter begins at {counter}")
        if version == FACTORY:
            keys = self._of(wanted)
            self._write_trailer(keys.key_a, ACCESS, keys.key_b)
            self._done.append(f"the keys of sector {self._keys.number} were written")
        return self._verified(wanted, warnings)

    def check(self) -> Outcome:
        """Read the sector with both keys: access bits, and a counter that is valid."""
        version = self._detect(factory_first=False)
        if version == FACTORY:
            raise CardError("the sector is blank, or writing it was interrupted: write it")
        return self._verified(version, magic_warning(self._card))

    def _verified(self, version: int, warnings: list[str]) -> Outcome:
        keys = self._of(version)
        if not self._desk.auth("B", self._trailer, keys.key_b) or not self._desk.auth("A", self._trailer, keys.key_a):
            raise CardError("the sector does not take its new keys; run the same command again")
        access = self._desk.read(self._trailer)[6:10]
        if access[:3] != ACCESS[:3]:
            raise CardError(f"the access bits of the sector are {access[:3].hex()}, not ours; reset the card")
        counters = [value for value in self._counters(version) if value]
        if not counters:
            raise CardError("the card has no valid passage counter; mend it with: menwei card write")
        self._done.append(f"the sector was read with both keys of version {version}")
        return Outcome(version, self._done, max(counters), warnings)

    def rekey(self) -> Outcome:
        """Move to the current version and keep the counter; doors of both versions accept the card at every moment.

        The counter is first written under the new key into the block that the old version can do without.
        """
        version, wanted = self._detect(factory_first=False), self._keys.current
        if version == FACTORY:
            raise CardError("the sector is blank, or writing it was interrupted; run: menwei card write")
        if version != wanted:
            counters = self._counters(version)
            if counters == [None, None]:
                raise CardError("the card has no valid passage counter; reset it and write it again")
            counter = self.counter = max(value for value in counters if value)
            self._changes(version)
            spare = self._first + (1 if counters[0] == counter else 0)
            keys = self._of(wanted)
            self._put(spare, counter_block(keys.counter, spare, counter, door_version(wanted)))
            self._write_trailer(keys.key_a, ACCESS, keys.key_b)
            self._done.append(f"version {version} became version {wanted}, the counter stays at {counter}")
        return self._verified(wanted, magic_warning(self._card))

    def reset(self) -> Outcome:
        """Put the sector back to the factory's keys and empty it; the outcome tells the counter that it had."""
        version = self._detect(factory_first=False)
        counter = None
        if version != FACTORY:
            counter = self.counter = max((value for value in self._counters(version) if value), default=None)
            self._changes(version)
            self._write_trailer(FACTORY_KEY, FACTORY_ACCESS, FACTORY_KEY)
            self._done.append("the factory's keys were written")
        if not self._enter(FACTORY):
            raise CardGone("the card does not take the factory's keys yet; run the same command again")
        for block in range(self._first, self._trailer):
            self._put(block, bytes(16))
        self._done.append("the sector was emptied")
        return Outcome(FACTORY, self._done, counter)

"""Find sectors, key slots and records of a journal region by their form, by docs/flash-formats.md alone.

    scan = scan_journal(region)
    for record in scan.records:         # in the order of the ring, whether right or not
        print(record.sector, record.slot, record.stated)

No key is needed here and nothing is believed: `menwei.image` judges what was found.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from menwei.rawflash import SECTOR, Finding, blank, clean_count, flips, happened, little, sealed, sectors, worn

SLOT = 32
SLOTS = SECTOR // SLOT
CHAIN = 7
GROUP = 16  # slots that are acknowledged together
_SINGLE, _LONG, _SECOND, _KEY = 0x55, 0x33, 0x3C, 0x0F
_CODES = (_SINGLE, _LONG, _SECOND, _KEY)
_ZEROED = 2 * SLOT  # programmed to zeros before an erase

# What is at the place of a key.
LIVE, WIPED, HALF = "live", "wiped", "half wiped"


@dataclass(frozen=True)
class KeySlot:
    """A key slot whose first check is right; `key` is there only if it is live."""

    sector: int
    slot: int
    generation: int
    chain: bytes
    state: str
    key: bytes = field(default=b"", repr=False)


@dataclass
class Record:
    """One record, its fields as numbers; `raw` is one slot, or two of a long record.

    `stated` is the number in the record, `seq` the one that follows from all that is known.
    """

    epoch: bytes
    sector: int
    slot: int
    raw: bytes
    key_slot: KeySlot | None  # the last one before it
    behind_key: bool  # nothing stands between
    whole: bool = True  # False: half of a long record
    seq: int = 0
    generation: int = 0
    verdict: str = "unchecked"
    chain: bytes = b""

    def __post_init__(self) -> None:
        self.stated = little(self.raw[1:5]) & 0x3FFFFFFF
        self.seq = self.stated
        self.chain = self.raw[25:32]
        self.boot = little(self.raw[5:7])
        self.time = little(self.raw[7:11]) & 0x3FFFFFFF
        self.trust = self.raw[10] >> 6
        self.uncertainty = self.raw[11]
        self.kind = self.raw[12]
        self.reason = self.raw[13]
        self.pseudonym = self.raw[14:21]
        self.detail = little(self.raw[21:25])
        self.payload = self.raw[33:57]

    @property
    def body(self) -> bytes:
        """What the MAC covers, behind the chain value."""
        return self.raw[:25] + self.raw[SLOT : SLOT + 25]

    @property
    def mac(self) -> bytes:
        """7 bytes, of a long record 14."""
        return self.raw[25:32] + self.raw[57:64]


@dataclass
class JournalSector:
    """A sector in use, in the order of the ring; `first` is None if its header cannot be read."""

    number: int
    ring: int
    first: int | None
    groups: int  # acknowledged, from the beginning
    keys: list[KeySlot] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    junk: dict[int, bytes] = field(default_factory=dict)  # slots with nothing that can be told


@dataclass
class Scan:
    """What a journal region holds, by its form."""

    epoch: bytes = b""
    sectors: list[JournalSector] = field(default_factory=list)
    ready: int = 0
    retired: int = 0
    voids: int = 0  # slots that the door itself zeroed
    erases: dict[int, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def records(self) -> list[Record]:
        """All of them, in the order of the ring."""
        return [record for sector in self.sectors for record in sector.records]

    @property
    def keys(self) -> list[KeySlot]:
        """All of them, in the order of the ring."""
        return [key for sector in self.sectors for key in sector.keys]

    def note(self, what: str, text: str, **more) -> None:
        """Add a finding."""
        self.findings.append(Finding("journal", what, text, **more))


def scan_journal(region: bytes) -> Scan:
    """Read the form of a journal region; ValueError if it does not consist of sectors."""
    if not region or len(region) % SECTOR:
        raise ValueError(f"a journal region has whole sectors of {SECTOR} bytes, not {len(region)} bytes")
    scan = Scan()
    parts = [data for _, data in sectors(region)]
    heads: dict[int, bytes] = {}
    broken: list[int] = []
    free: set[int] = set()
    for number, data in enumerate(parts):
        erases = clean_count(data)
        if erases is not None:
            scan.erases[number] = erases
        head = data[8:26]
        ways = (head, *flips(head)) if any(head) and not blank(head) else ()
        right = next((way for way in ways if sealed(b"menwei journal", way[:14], way[14:18])), None)
        if right and right[0:2] == b"J\x01":
            heads[number] = right
        elif right:
            scan.note("foreign header", f"format {right[1]} is unknown to this tool; use a newer one", sector=number)
        elif not any(data[8:_ZEROED]):
            scan.retired += 1
            free.add(number)
        elif blank(head):
            free.add(number)
            if erases is not None and blank(data[8:]):
                scan.ready += 1
            elif not blank(data[SLOT:]):
                broken.append(number)
        else:
            broken.append(number)
    scan.findings += worn("journal", scan.erases)
    if not heads:
        scan.note("no journal", "no sector has a journal header: this door records nothing; commission it")
        return scan
    top = max(heads, key=lambda number: little(heads[number][6:10]))
    scan.epoch = heads[top][2:6]
    _order(scan, parts, heads, broken, top)
    return scan


def _order(scan: Scan, parts: list[bytes], heads: dict[int, bytes], broken: list[int], top: int) -> None:
    """Put the sectors in use into the order of their ring numbers; physically the ring runs round the region."""
    ring, found, begun = -1, [], False
    if (top + 1) % len(parts) in broken and _goes_on(parts[(top + 1) % len(parts)], parts[top]):
        top = (top + 1) % len(parts)  # the door takes it in again when it starts
    around = [(top + 1 + step) % len(parts) for step in range(len(parts))]
    for number in around:
        head = heads.get(number)
        if head is None:
            if number in broken and _in_use(scan, parts[number], number, begun):
                found.append((ring + 0.5, JournalSector(number, ring, None, 0)))
            continue
        if head != parts[number][8:26]:
            scan.note("damaged header", "one bit is flipped; the sector is read all the same", sector=number)
        if head[2:6] != scan.epoch:
            scan.note("foreign epoch", f"epoch {head[2:6].hex()} in a journal of {scan.epoch.hex()}", sector=number)
            continue
        if little(head[6:10]) <= ring:
            scan.note("reordered", f"ring number {little(head[6:10])} stands behind {ring}", sector=number)
        if number not in scan.erases and not begun and number != top and not parts[number][0] & ~0xE5:
            scan.note("torn", "power went when it was about to be emptied; it still counts", sector=number, wrong=False)
        elif number not in scan.erases:
            scan.note("damaged header", "its clean marker is wrong, but it counts", sector=number)
        ring = little(head[6:10])
        begun = True
        bits = little(parts[number][26:29])
        groups = next((group for group in range(8) if not happened(bits, group)), 8)
        found.append((ring, JournalSector(number, ring, little(head[10:14]), groups)))
    scan.sectors = [sector for _, sector in sorted(found, key=lambda pair: pair[0])]
    for sector in scan.sectors:
        _slots(scan, sector, parts[sector.number])
    if len(scan.sectors) > 1 and not scan.sectors[-1].keys and not scan.sectors[-1].records:
        scan.note("torn", "its first program was cut short", sector=scan.sectors.pop().number, wrong=False)


def _in_use(scan: Scan, data: bytes, number: int, begun: bool) -> bool:
    """Judge a sector whose header cannot be read; True if its records are to be looked at."""
    holds = _key_slot(number, 1, data[SLOT : 2 * SLOT]) is not None
    # To be emptied a sector is programmed to zeros, so a program that was cut short has cleared bits and set none.
    cleared = not any(byte & ~was for byte, was in zip(data[8:14], b"J\x01" + scan.epoch, strict=True))
    if holds and (begun or not (cleared or number not in scan.erases)):
        scan.note(
            "damaged header", "it cannot be read; the records behind it are looked at all the same", sector=number
        )
        return True
    text = "power went while it was emptied or begun, or it cannot be erased; the door leaves it out or erases it"
    scan.note("torn", text, sector=number, wrong=False)
    return False


def _goes_on(data: bytes, last: bytes) -> bool:
    """Whether the key slot of a sector goes on from the last record of another: then only its header is damaged."""
    before = JournalSector(0, 0, None, 0)
    _slots(Scan(), before, last)
    first = _key_slot(0, 1, data[SLOT : 2 * SLOT])
    return bool(first and before.records) and first.chain == before.records[-1].chain


def _code(value: int) -> int:
    """What a first byte stands for, one flipped bit forgiven; 0 for nothing."""
    return next((code for code in _CODES if (code ^ value).bit_count() <= 1), 0)


def is_key_slot(raw: bytes) -> bool:
    """Whether a slot calls itself a key slot."""
    return _code(raw[0]) == _KEY


def _key_slot(number: int, slot: int, raw: bytes) -> KeySlot | None:
    if not is_key_slot(raw) or not sealed(b"menwei slot", raw[1:12], raw[12:14]):
        return None
    state, key = HALF, b""
    if not any(raw[14:32]):
        state = WIPED
    elif sealed(b"menwei key", raw[1:30], raw[30:32]):
        state, key = LIVE, raw[14:30]
    return KeySlot(number, slot, little(raw[1:5]), raw[5:12], state, key)


def _slots(scan: Scan, sector: JournalSector, data: bytes) -> None:
    """Tell the slots of a sector apart."""
    slots = [data[at : at + SLOT] for at in range(0, SECTOR, SLOT)]
    key, behind_key, index = None, False, 1
    while index < SLOTS:
        at, raw = index, slots[index]
        index += 1
        code = _code(raw[0])
        if blank(raw):
            continue
        if not any(raw):
            scan.voids += 1
        elif found := _key_slot(sector.number, at, raw):
            sector.keys.append(found)
            key, behind_key = found, True
            continue
        elif code in (_SINGLE, _LONG):
            whole = code == _SINGLE or (index < SLOTS and _code(slots[index][0]) == _SECOND)
            if code == _LONG and whole:
                raw += slots[index]
                index += 1
            sector.records.append(Record(scan.epoch, sector.number, at, raw, key, behind_key, whole))
            behind_key = False
        else:
            sector.junk[at] = raw

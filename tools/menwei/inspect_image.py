"""`menwei image inspect`: what a flash image says about its door, as one plain dictionary and as tables.

    told = inspect(Path("flash.img").read_bytes(), Options(start_key=lambda epoch: key))
    json.dumps(told)                # no names, no card numbers, no pseudonyms, no keys
    told["verdict"]                 # "nothing wrong", or how many findings

`menwei.inspect_report` shows the same to people.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from menwei import names
from menwei.cardimage import LIVE, REVOKED, SLOTS, SUSPENDED, Cards, read_cards
from menwei.corrected import corrected
from menwei.flashmap import ImageError, locate, read_image, whole_region
from menwei.image import LOOSE, RIGHT, UNCHECKED, Journal, read_journal
from menwei.journalscan import Record
from menwei.keyfile import KeyFile
from menwei.rawflash import Finding

EPOCH_2020 = datetime(2020, 1, 1, tzinfo=UTC)
_BOOT, _GRANTED, _GAP = 1, 2, 15  # kinds
_UNCERTAIN = 31


@dataclass(frozen=True)
class Options:
    """How to look at an image.

    Args:
        start_key: gives the journal's start key for an epoch.
        region: "cards" or "journal" if the file is the dump of that region alone.
        board: a folder in boards/, for an image without a partition table.
        date: validity limits are compared with it; now if None.
    """

    start_key: Callable[[bytes], bytes] | None = None
    region: str | None = None
    board: str | None = None
    date: datetime | None = None


def inspect_file(path: Path, options: Options) -> dict:
    """The same for a file."""
    return inspect(read_image(path), options)


def inspect(data: bytes, options: Options) -> dict:
    """Everything that can be said about an image.

    Raises:
        ImageError: it cannot be read, with a sentence that says what to do.
    """
    if options.region and options.region not in ("cards", "journal"):
        raise ImageError(f"there is no region {options.region}; say --region cards or --region journal")
    regions = whole_region(options.region, data) if options.region else locate(data, options.board)
    date = options.date or datetime.now(UTC)
    told: dict = {"bytes": len(data), "date": _iso(date)}
    findings: list[Finding] = []
    try:
        if "cards" in regions:
            cards = read_cards(data, *regions["cards"])
            told["cards"] = _cards(cards, date) | _place(regions["cards"])
            findings += cards.findings
        if "journal" in regions:
            journal = _read_journal(data, regions["journal"], options)
            told["journal"] = _journal(journal, options) | _place(regions["journal"])
            findings += journal.findings
    except ImageError:
        raise
    except ValueError as error:
        raise ImageError(str(error)) from error
    told["findings"] = [_finding(finding) for finding in _together(findings)]
    told["wrong"] = sum(finding["wrong"] for finding in told["findings"])
    return told


def start_key_of(keys: Path, door: str | None) -> Callable[[bytes], bytes]:
    """The journal's start key by epoch, of one door in a key file.

    Raises:
        ImageError: the file cannot be read, or which door is meant is not clear.
    """
    try:
        loaded = KeyFile.load(keys)
    except OSError as error:
        raise ImageError(str(error) if isinstance(error, PermissionError) else f"{keys}: {error.strerror}") from error
    except ValueError as error:
        raise ImageError(str(error)) from error
    if door is None and len(loaded.doors) == 1:
        door = loaded.doors[0]
    if door not in loaded.doors:
        asked = "say which door it is" if door is None else f"{keys} does not know the door {door}"
        raise ImageError(f"{asked}: --door NAME, one of {', '.join(loaded.doors) or '(the file has none)'}")

    def start_key(epoch: bytes) -> bytes:
        key = loaded.journal_key(door, epoch)
        if key is None:
            raise ImageError(
                f"{keys} has no start key of the door {door} for the journal epoch {epoch.hex()};"
                " name the right --door, or leave out --keys to see what can be seen without"
            )
        return key

    return start_key


def _read_journal(data: bytes, place: tuple[int, int], options: Options) -> Journal:
    journal = read_journal(data, *place)
    if options.start_key and journal.epoch:
        journal = read_journal(data, *place, options.start_key(journal.epoch))
    return journal


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")


def _place(place: tuple[int, int]) -> dict:
    return {"offset": place[0], "size": place[1]}


def _erases(erases: dict[int, int]) -> dict | None:
    if not erases:
        return None
    most = max(erases, key=lambda number: erases[number])
    return {
        "least": min(erases.values()),
        "mean": round(sum(erases.values()) / len(erases), 1),
        "most": erases[most],
        "most_in_sector": most,
    }


def _cards(cards: Cards, date: datetime) -> dict:
    now_min = int((date - EPOCH_2020).total_seconds()) // 60
    generations = [sector.generation for sector in cards.table]
    return {
        "live": cards.in_state(LIVE),
        "suspended": cards.in_state(SUSPENDED),
        "revoked": cards.in_state(REVOKED),
        "superseded": cards.superseded,
        "torn": cards.torn,
        "use_counters": cards.counters,
        "slots": cards.slots,
        "slots_used": cards.used,
        "office_epoch": cards.office_epoch,
        "revision": cards.revision,
        "reconciling": _reconciling(cards),
        "digest_live": cards.digest_live.hex(),
        "digest_tombstones": cards.digest_tombstones.hex(),
        "groups": {
            str(group): {name: counts[name] for name in ("live", "suspended", "revoked", "past", "no_end")}
            for group, counts in cards.groups(now_min).items()
        },
        "sectors_in_use": len(cards.table),
        "sectors_erased": cards.erased,
        "sectors_to_erase": cards.waiting,
        "generation_least": min(generations, default=None),
        "generation_most": max(generations, default=None),
        "disagreeing_bits": cards.disagreeing,
        "erases": _erases(cards.erases),
        "sectors": [
            {
                "sector": sector.number,
                "logical": sector.logical,
                "generation": sector.generation,
                "used": sector.used,
                "full_pages": sector.overflow.bit_count(),
                "erases": cards.erases.get(sector.number),
            }
            for sector in cards.table
        ],
    }


def _reconciling(cards: Cards) -> dict | None:
    if cards.reconciling is None:
        return None
    office_epoch, revision, position = cards.reconciling
    percent = round(100 * position / (cards.slots // SLOTS << 16), 1)
    return {"office_epoch": office_epoch, "revision": revision, "position": position, "percent": percent}


def _journal(journal: Journal, options: Options) -> dict:
    scan, records = journal.scan, journal.records
    return {
        "epoch": journal.epoch.hex() or None,
        "first": journal.first,
        "last": journal.head,
        "acknowledged": journal.acked,
        "records": len(records),
        "kinds": dict(Counter(names.kind(record.kind) for record in records).most_common()),
        "credentials": _credentials(records),
        "boots": sum(record.kind == _BOOT for record in records),
        "boot_number": records[-1].boot if records else None,
        "time": _times(records),
        "gaps": [_gap(record) for record in records if record.kind == _GAP],
        "torn_slots": journal.torn,
        "live_key_slots": [{"sector": slot.sector, "slot": slot.slot} for slot in journal.live_keys],
        "key_generation": max((slot.generation for slot in scan.keys), default=None),
        "verified": {
            "with": "start key" if options.start_key else "keys in the image" if journal.live_keys else "no key",
            "right": sum(record.verdict == RIGHT for record in records),
            "unchecked": sum(record.verdict == UNCHECKED for record in records),
            "behind_a_gap": sum(record.verdict == LOOSE for record in scan.records),
            "first_right": next((record.seq for record in records if record.verdict == RIGHT), None),
        },
        "sectors_in_use": len(scan.sectors),
        "sectors_erased": scan.ready,
        "sectors_retired": scan.retired,
        "erases": _erases(scan.erases),
    }


def _credentials(records: list[Record]) -> dict:
    """What cards showed, by their kind: how often let in, refused and suspected, with which key versions."""
    told: dict = {}
    for record in records:
        if not names.about_card(record.kind, record.reason):
            continue
        shown = names.evidence(record.detail)
        counts = told.setdefault(
            shown["kind"] or "uid", {"granted": 0, "refused": 0, "alarm": 0, "not_counted": 0, "versions": {}}
        )
        counts[names.kind(record.kind)] += 1
        if record.kind == _GRANTED and shown["kind"] not in (None, "uid"):
            counts["not_counted"] += shown["kind"] == "classic" and not shown["counted"]
            version = str(shown["version"])
            counts["versions"][version] = counts["versions"].get(version, 0) + 1
    return dict(sorted(told.items()))


def _times(records: list[Record]) -> dict:
    """Earliest and latest time, each with its trust, how many records have which trust, and what can be put right."""

    def told(record: Record) -> dict:
        known = record.uncertainty < _UNCERTAIN
        return {
            "time": (EPOCH_2020 + timedelta(seconds=record.time)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "trust": names.trust(record.trust),
            "within_s": 1 << record.uncertainty if known else None,
            "seq": record.seq,
        }

    if not records:
        return {"first": None, "last": None, "trust": {}, "put_right": 0, "not_known": 0}
    moments = corrected(records)
    return {
        "first": told(records[0]),
        "last": told(records[-1]),
        "trust": dict(Counter(names.trust(record.trust) for record in records).most_common()),
        "put_right": sum(moment.changed for moment in moments),
        "not_known": sum(moment.time is None for moment in moments),
    }


def _gap(record: Record) -> dict:
    """docs/flash-formats.md, When the ring is full."""
    numbers = [int.from_bytes(record.payload[at : at + 4], "little") for at in range(0, 20, 4)]
    given_up = names.reason(_GAP, record.reason) == "given_up"
    return {
        "seq": record.seq,
        "reason": names.reason(_GAP, record.reason),
        "records": record.detail,
        "first": numbers[0] if given_up else None,
        "last": numbers[1] if given_up else None,
        "by_class": numbers[2:5],
    }


def _finding(finding: Finding) -> dict:
    return {
        "region": finding.region,
        "what": finding.what,
        "wrong": finding.wrong,
        "sector": finding.sector,
        "slot": finding.slot,
        "first": finding.seq,
        "last": finding.seq if finding.last is None else finding.last,
        "text": finding.text,
    }


def _together(findings: list[Finding]) -> list[Finding]:
    """What is wrong first, then by place; a run of neighbours with the same text is one finding."""
    found: list[Finding] = []
    for finding in sorted(findings, key=_order):
        before = found[-1] if found else None
        same = before and (before.region, before.what, before.text, before.sector) == (
            finding.region,
            finding.what,
            finding.text,
            finding.sector,
        )
        if same and None not in (before.seq, finding.seq) and finding.seq - 1 == (before.last or before.seq):
            last = finding.last or finding.seq
            found[-1] = Finding(**{**vars(before), "last": last})
        else:
            found.append(finding)
    return found


def _order(finding: Finding) -> tuple:
    none = -1
    return (
        not finding.wrong,
        finding.region,
        none if finding.seq is None else finding.seq,
        none if finding.sector is None else finding.sector,
        none if finding.slot is None else finding.slot,
    )

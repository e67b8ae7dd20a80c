"""What the card office does around a writer: key file, register, and what a door gets.

outcome = act("write", writer, card, "ntag424", "garden", entry, register)
"""

from __future__ import annotations

import json
from pathlib import Path

from menwei import ev2host
from menwei.carddiversify import APPLICATIONS
from menwei.cardkeys import CardKeyError, CardKeyFile, KindKeys, write_private
from menwei.cardregister import RESET, Register
from menwei.cardwriter import FACTORY, Card, CardError, Desk, Outcome
from menwei.ev2host import Ev2Error
from menwei.keyfile import check_name

_SELECT_NTAG424 = bytes.fromhex("00A4040C07D276000085010100")


def entry_of(book: CardKeyFile | None, community: str, kind: str, number: int | None) -> KindKeys | None:
    """The keys of a kind, None for uid; a number that is asked for must be the key file's."""
    if book is None:
        check_name("community", community)
        return None
    entry = book.kind(community, kind)
    if number is not None and number != entry.number:
        raise CardKeyError(f"{community} uses number {entry.number} for {kind}, not {number}; leave --number out")
    return entry


def act(
    action: str, writer, card: Card, kind: str, community: str, entry: KindKeys | None, register: Register
) -> Outcome:
    """Do it to the card and keep the register.

    The line is marked as begun just before the card is changed, so that one which was interrupted is known as such.
    """
    uid, number = card.uid, entry.number if entry else 0
    register.check_community(kind, uid, community)
    row = register.find(kind, uid)

    def before_change(found: int) -> None:
        if action == "write" and found == FACTORY:
            register.check_new(kind, uid, community)
        # With the counter: a reset that is interrupted behind the trailer finds it no more
        register.begin(kind, uid, community, number, card.magic, writer.counter)

    writer.before_change = before_change
    if row and row.counter and action == "write":
        writer.start_at(row.counter + 1)
    outcome = getattr(writer, action)()
    if action == "reset":
        register.done(kind, uid, FACTORY, outcome.counter, RESET)
    elif kind != "uid" or action == "write":
        if not register.find(kind, uid):  # written before there was a register, or before this one
            register.begin(kind, uid, community, number, card.magic)
        register.done(kind, uid, outcome.version, outcome.counter)
    return outcome


def left_on_previous(entry: KindKeys, register: Path) -> int:
    """How many cards need the previous version, as far as the register knows.

    Raises:
        CardError: there is no register, so nobody knows.
    """
    if not entry.previous:
        return 0
    if not register.exists():
        raise CardError(f"there is no register {register}: nobody knows which cards need version {entry.previous}")
    with Register(register) as book:
        return book.left_on(entry.community, entry.kind, entry.previous)


def export_door(book: CardKeyFile, community: str, out: Path) -> int:
    """Put the read keys of a community into provision.json, or a new file (mode 0600); returns how many."""
    entry = book.door_entry(community)
    content = {}
    if out.exists():
        try:
            content = json.loads(out.read_text())
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise CardKeyError(f"{out} is no provisioning file, and is left as it is")
    content["card_keys"] = entry
    write_private(out, json.dumps(content, indent=1) + "\n")
    return len(entry)


def describe(desk: Desk, card: Card) -> list[str]:
    """What a card seems to be, without any key."""
    told = []
    if card.random_uid:
        told.append("random UID: it cannot be enrolled")
    if card.magic:
        told.append("magic card (Gen1A): its UID can be rewritten, it may be a copy")
    if card.classic:
        told.append("MIFARE Classic, or a card that can be one; kinds: classic, uid")
    if card.iso:
        told.extend(_describe_iso(desk))
    if not card.classic and not card.iso:
        told.append("a card without keys that are known here; kind: uid")
    return told


def _describe_iso(desk: Desk) -> list[str]:
    if desk.apdu(_SELECT_NTAG424)[-2:] == b"\x90\x00":
        return ["NTAG 424 DNA; kind: ntag424", *_key_versions(desk, range(5))]
    try:
        ev2host.plain(desk.apdu, 0x5A, APPLICATIONS["desfire"])
    except Ev2Error as error:
        if error.status == 0x91A0:
            return ["DESFire without an application of ours; kind: desfire"]
        return ["a CPU card of a kind that is not known here; kind: uid"]
    return ["DESFire with our application; kind: desfire", *_key_versions(desk, range(14))]


def _key_versions(desk: Desk, numbers: range) -> list[str]:
    told = []
    for number in numbers:
        try:
            version = ev2host.plain(desk.apdu, 0x64, bytes((number,)))[:1]
        except Ev2Error:
            continue
        if version and version[0]:
            told.append(f"key {number}: version {version[0]}")
    return told or ["no key has a version: blank, or the card does not tell"]

"""Proves that a cancelled card is dead at every door, and since when.

    for proof in proofs(store, keys, bytes.fromhex("04A1B2C3")): ...

What proves it (docs/protocol.md, "That a cancelled card is dead"): a sealed record of kind *list* that names the
office epoch and a revision at or behind the cancellation, with the door's own time and how far that can be trusted;
and an authentic state whose digests are those of the intended list. The door's last state must not contradict it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from menwei.doorlist import unpack_change
from menwei.epoch import UNIX_2020
from menwei.keyfile import KeyFile
from menwei.names import CREDENTIALS
from menwei.store import Store
from storage import record
from storage.mac import Hmac, derive
from sync.messages import FORGET, PUT, REVOKE, SUSPEND

CONFIRMED, WAITING, LIVE, NEVER = "confirmed", "not yet confirmed", "not cancelled", "never on the list"

_PSEUDONYM = 7
_UID_LENGTHS = (4, 7, 10)
_UNKNOWN = 31  # uncertainty of a record
_TRUST = {record.FLOOR: "floor", record.HELD: "held", record.SYNCHRONISED: "synchronised"}
_OPERATIONS = {SUSPEND: "suspended", REVOKE: "revoked", FORGET: "forgotten"}


@dataclass(frozen=True)
class Proof:
    """What is known of one card at one door; times are Unix seconds.

    `since`, `trust` (*floor*: not before this) and `error_s` (the time lies within so many seconds of `since`) are
    those of the record; `digests_since` is our own time.
    """

    door: str
    pseudonym: str
    status: str
    how: str | None = None  # suspended, revoked, forgotten
    revision: int | None = None  # the cancellation
    cancelled_at: int | None = None  # when the office made it
    since: int | None = None
    trust: str | None = None
    error_s: int | None = None
    record: str | None = None  # journal epoch and number
    digests_since: int | None = None
    digests_revision: int | None = None
    held: int | None = None  # the revision that the door said last
    online: bool = False
    seen_at: int | None = None  # our time; offline since, if it is
    why: str | None = None  # why it is not confirmed


def pseudonyms(keys: KeyFile, door: str, uid: bytes) -> list[bytes]:
    """The pseudonyms that a card of any kind can have at a door."""
    mac = Hmac(derive(keys.door_key(door), b"pseudonym"))
    names = []
    for kind in sorted(CREDENTIALS):
        mac.update(bytes((kind,)) + uid)
        names.append(mac.digest()[:_PSEUDONYM])
    return names


def proofs(store: Store, keys: KeyFile, uid: bytes) -> Iterator[Proof]:
    """What is known of a card at each door of the key file."""
    for door in keys.doors:
        names = pseudonyms(keys, door, uid)
        found = [proof for proof in (prove(store, door, name) for name in names) if proof.status != NEVER]
        yield from found or [prove(store, door, names[0])]


def of_cards(store: Store, keys: KeyFile, names: list[str]) -> dict[str, list[Proof]]:
    """What is known of each card: a UID in hex digits, or DOOR:PSEUDONYM.

    Raises:
        ValueError: a name is neither.
    """
    told = {}
    for name in names:
        door, _, digits = name.rpartition(":")
        try:
            content = bytes.fromhex(digits)
        except ValueError:
            content = b""
        if door in keys.doors and len(content) == _PSEUDONYM:
            told[name] = [prove(store, door, content)]
        elif not door and len(content) in _UID_LENGTHS:
            told[name] = list(proofs(store, keys, content))
        else:
            raise ValueError(f"{name} is neither a UID of 4, 7 or 10 bytes in hex nor DOOR:PSEUDONYM of a known door")
    return told


def is_dead_everywhere(found: list[Proof]) -> bool:
    """Whether a card is confirmed to be dead at all doors that ever had it."""
    had = [proof.status for proof in found if proof.status != NEVER]
    return bool(had) and all(status == CONFIRMED for status in had)


def prove(store: Store, door: str, pseudonym: bytes) -> Proof:
    """What is known of one pseudonym at one door."""
    online, state = store.door(door) or (False, {})
    held = state.get("list") or None
    common = {
        "door": door, "pseudonym": pseudonym.hex(), "online": online, "seen_at": store.seen_at(door),
        "held": held and int(held[1]),
    }  # fmt: skip
    death = _death(store, door, pseudonym)
    if death is None:
        return Proof(status=NEVER, **common)
    revision, operation = death
    if operation == PUT:
        return Proof(status=LIVE, revision=revision, **common)
    common |= {"how": _OPERATIONS[operation], "revision": revision, "cancelled_at": store.made_at(door, revision)}
    epoch = store.known_office_epoch(door)
    # What found no room may have been the cancellation: then only the digests tell.
    left_out = False
    sealed = None
    for _, kind, name, detail, journal, seq, time, trust, uncertainty in store.list_records(door):
        if kind == record.ALARM:
            left_out |= name == pseudonym.hex() and sealed is None
        elif kind == record.LIST and epoch is not None and name[:8] == epoch.hex() and detail >= revision:
            sealed = sealed or (journal, seq, time, trust, uncertainty)
    agreed = store.agreed_since(door, revision)
    if agreed:
        common |= {"digests_revision": agreed[0], "digests_since": agreed[1]}
    if sealed and not left_out:
        journal, seq, time, trust, uncertainty = sealed
        common |= {
            "since": time + UNIX_2020, "trust": _TRUST.get(trust, str(trust)), "record": f"{journal}:{seq}",
            "error_s": None if trust == record.FLOOR or uncertainty == _UNKNOWN else 1 << uncertainty,
        }  # fmt: skip
    why = None
    if held and (held[0] != (epoch or b"").hex() or int(held[1]) < revision):
        why = f"the door's last state holds revision {held[1]} of {held[0]}, not {revision}"
    elif store.list_pass(door).under_way:
        why = "its list was found altered, and is being reconciled"
    elif not agreed and (not sealed or left_out):
        why = "its list had no room" if left_out else "the door has not reported this revision"
    return Proof(status=WAITING if why else CONFIRMED, why=why, **common)


def _death(store: Store, door: str, pseudonym: bytes) -> tuple[int, int] | None:
    """(revision, operation) since which a card is what it is now: the first change behind which it was never live."""
    found = None
    for revision, change in store.changes(door, 0):
        operation, name, _ = unpack_change(change)
        if name == pseudonym and (operation == PUT or found is None or found[1] == PUT):
            found = revision, operation
        elif name == pseudonym and operation != FORGET and operation > found[1]:
            found = found[0], operation
    return found


def as_json(proof: Proof) -> dict:
    """All fields; times as ISO 8601 in UTC."""
    told = asdict(proof)
    for name in ("cancelled_at", "since", "digests_since", "seen_at"):
        told[name] = _iso(told[name])
    return told


def _iso(unix: int | None) -> str | None:
    return None if unix is None else datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def as_text(proof: Proof) -> str:
    """One line for people."""
    text = f"{proof.door}: {proof.status}"
    if proof.how:
        text += f", {proof.how} with revision {proof.revision}"
    if proof.since is not None:
        error = "not before this, " if proof.error_s is None else f"within {proof.error_s} s, "
        text += f", at the door since {_iso(proof.since)} ({error}clock {proof.trust}), record {proof.record}"
    if proof.digests_since is not None:
        text += f", digests right since {_iso(proof.digests_since)}"
    if proof.why:
        text += f": {proof.why}"
    if proof.seen_at is None:
        return text + "; never seen"
    return text + ("; online" if proof.online else f"; offline since {_iso(proof.seen_at)}")

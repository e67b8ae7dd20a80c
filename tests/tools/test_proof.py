"""menwei proof: that a cancelled card is dead at every door, and since when."""

import hmac
import json
from hashlib import sha256

import pytest
from typer.testing import CliRunner

from menwei import proof
from menwei.cli import app
from menwei.keyfile import KeyFile
from menwei.liststore import Pass
from menwei.store import Event, Rows, Store
from storage import record
from sync.upstream import pack_change

PUT, SUSPEND, REVOKE, FORGET = 1, 2, 3, 4
UNIX_2020 = 1577836800
KEYS = {"gate": bytes(range(32)), "yard": bytes(range(1, 33))}
UID = "04A1B2C3"
OFFICE = b"OFFI"
MADE, SEEN = 1_772_434_800, 1_772_435_000


def pseudonym(door, kind=1):
    key = hmac.digest(KEYS[door], b"menwei/v1/pseudonym", sha256)
    return hmac.digest(key, bytes((kind,)) + bytes.fromhex(UID), sha256)[:7]


class Office:
    """A database by hand."""

    def __init__(self, folder):
        self.path, self.key_path = folder / "upstream.db", folder / "keys.json"
        self.store = Store(self.path)
        self.keys = KeyFile("garden")
        for door, key in KEYS.items():
            self.keys.add(door, key, {})
            self.store.office_epoch(door, OFFICE)
        self.keys.save(self.key_path)
        self.seq = 0

    def change(self, door, operation, kind=1):
        return self.store.add_change(door, pack_change(operation, pseudonym(door, kind)), MADE)

    def record(self, door, kind, name, detail=0, reason=0, time=200, trust=2, uncertainty=3):
        self.seq += 1
        words = door, "01020304", self.seq, 1, time, trust, uncertainty, kind, reason, name.hex(), detail, 0
        self.store.add_batch(door, "01020304", Rows(events=[Event(*words, bytes(7), bytes(32))]), SEEN)

    def listed(self, door, revision, epoch=OFFICE, **other):
        self.record(door, record.LIST, epoch + bytes(3), revision, **other)

    def state(self, door, revision, epoch=OFFICE, online=1):
        self.store.set_state(door, {"online": online, "list": [epoch.hex(), revision]}, SEEN)

    def proofs(self):
        return {one.door: one for one in proof.proofs(self.store, self.keys, bytes.fromhex(UID))}


@pytest.fixture
def office(tmp_path):
    office = Office(tmp_path)
    yield office
    office.store.close()


def test_a_sealed_record_proves_it_and_says_since_when(office):
    office.change("gate", PUT)
    revision = office.change("gate", REVOKE)
    office.listed("gate", 1, time=100)
    assert office.proofs()["gate"].status == proof.WAITING
    assert office.proofs()["yard"].status == proof.NEVER
    office.listed("gate", revision, time=150)
    office.listed("gate", revision + 1, time=900)
    office.state("gate", revision)
    found = office.proofs()["gate"]
    assert (found.status, found.how, found.revision) == (proof.CONFIRMED, "revoked", 2)
    assert (found.since, found.trust, found.error_s) == (UNIX_2020 + 150, "synchronised", 8)
    assert (found.record, found.cancelled_at, found.held, found.online) == ("01020304:2", MADE, 2, True)


def test_of_a_floor_only_the_earliest_time_is_told(office):
    office.listed("gate", office.change("gate", REVOKE), trust=0, uncertainty=31)
    found = office.proofs()["gate"]
    assert (found.trust, found.error_s) == ("floor", None)
    assert "not before this" in proof.as_text(found)


def test_digests_prove_it_too(office):
    revision = office.change("gate", SUSPEND)
    office.state("gate", revision)
    office.store.agree("gate", revision - 1, SEEN - 9)
    assert office.proofs()["gate"].status == proof.WAITING
    office.store.agree("gate", revision, SEEN)
    office.store.agree("gate", revision, SEEN + 5)
    found = office.proofs()["gate"]
    assert (found.status, found.digests_since, found.since, found.how) == (proof.CONFIRMED, SEEN, None, "suspended")


def test_records_of_another_office_prove_nothing(office):
    revision = office.change("gate", REVOKE)
    office.listed("gate", revision + 5, epoch=b"ELSE")
    assert office.proofs()["gate"].status == proof.WAITING


def test_a_door_that_says_otherwise_now_is_not_confirmed(office):
    """An old image was restored, or another office's list."""
    office.change("gate", PUT)
    revision = office.change("gate", REVOKE)
    office.listed("gate", revision)
    office.store.agree("gate", revision, SEEN)
    office.state("gate", revision - 1)
    found = office.proofs()["gate"]
    assert (found.status, found.held) == (proof.WAITING, 1)
    assert "holds revision 1" in found.why
    office.state("gate", revision + 3, epoch=b"ELSE")
    assert office.proofs()["gate"].status == proof.WAITING
    office.state("gate", revision + 3)
    assert office.proofs()["gate"].status == proof.CONFIRMED
    # Its list was altered behind our back, and is not right yet.
    office.store.set_pass("gate", Pass(65536))
    assert office.proofs()["gate"].status == proof.WAITING
    office.store.set_pass("gate", Pass(-1, SEEN, b"12345678"))
    assert office.proofs()["gate"].status == proof.CONFIRMED


def test_a_cancellation_that_found_no_room_needs_the_digests(office):
    revision = office.change("gate", REVOKE)
    office.record("gate", record.ALARM, pseudonym("gate"), reason=record.ALARM_LIST_FULL)
    office.listed("gate", revision)
    assert office.proofs()["gate"].status == proof.WAITING
    office.store.agree("gate", revision, SEEN)
    assert office.proofs()["gate"].status == proof.CONFIRMED


def test_a_card_that_lives_again_is_not_cancelled(office):
    office.listed("gate", office.change("gate", REVOKE))
    office.change("gate", PUT)
    assert office.proofs()["gate"].status == proof.LIVE
    revision = office.change("gate", FORGET)
    assert office.proofs()["gate"].status == proof.WAITING
    office.change("gate", REVOKE)
    office.listed("gate", revision)
    assert (office.proofs()["gate"].status, office.proofs()["gate"].revision) == (proof.CONFIRMED, revision)


def run(office, *words):
    keys = ("--db", str(office.path), "--keys", str(office.key_path))
    return CliRunner().invoke(app, ["proof", *words, *keys])


def test_the_command_line(office):
    for door in KEYS:
        office.change(door, PUT, 2)
        office.listed(door, office.change(door, REVOKE, 2))
    office.store.set_offline("yard", SEEN)
    done = run(office, UID, "--json")
    told = json.loads(done.stdout)[UID]
    assert done.exit_code == 0, done.output
    assert [(one["door"], one["status"], one["pseudonym"]) for one in told] == [
        (door, "confirmed", pseudonym(door, 2).hex()) for door in ("gate", "yard")
    ]
    assert told[0]["since"] == "2020-01-01T00:03:20Z"
    done = run(office, f"gate:{pseudonym('gate', 2).hex()}")
    assert (done.exit_code, "gate: confirmed" in done.stdout, "yard" in done.stdout) == (0, True, False)
    done = run(office, UID)
    assert "offline since 2026-03-02T07:03:20Z" in done.stdout
    office.change("yard", PUT, 2)
    assert run(office, UID).exit_code == 1
    assert run(office, "04A1B2C4").exit_code == 1  # never heard of it: nothing is proven
    for wrong in ("04A1", "hello", "barn:" + "00" * 7, "gate:00"):
        assert run(office, wrong).exit_code == 2


def test_no_database_is_made_by_asking(office, tmp_path):
    words = ["proof", UID, "--keys", str(office.key_path), "--db", str(tmp_path / "none.db")]
    assert CliRunner().invoke(app, words).exit_code == 2
    assert not (tmp_path / "none.db").exists()

"""Whole simulated doors and cards that are carried from one to the other: who gets in, and who is told of."""

import asyncio
import json
import os
import pty
import subprocess
import sys
import tty
from pathlib import Path

import pytest
from interpreter import micropython_environment
from typer.testing import CliRunner

from menwei.build import ROOT, build
from menwei.carddiversify import classic_keys, counter_block, iso_key
from menwei.cli import app
from menwei.copies import Cards, CopyCheck
from menwei.flashmap import board_region
from menwei.image import read_journal
from menwei.keyfile import KeyFile
from menwei.simdoor import SimDoor
from menwei.store import Event, Store
from storage import record
from storage.mac import Hmac, derive

START = 1_793_664_000
UID = bytes.fromhex("04112233445566")
CLASSIC_UID = bytes.fromhex("9c599b32")
KINDS = {"uid": 1, "classic": 2, "ntag424": 3, "desfire": 4}
GARDEN = {"ntag424": b"read key, garden", "classic": b"classic key, gdn"}
HARBOUR = {"ntag424": b"read key,harbour", "classic": b"classic key, hbr"}
OFFICE = b"write key, garde"
EPOCH = "01020304"


class House:
    """One door without a network, with some cards on its list."""

    def __init__(self, folder, number, keys, listed, **settings):
        self.folder, self.keys = folder, keys
        self.name = f"door-{number}"
        self.door_key = bytes((number,)) * 32
        self.journal_key = bytes((number,)) * 16
        self.listed = [self.pseudonym(kind, uid) for kind, uid in listed]
        self.door = SimDoor(folder, start_unix=START, seed=number)
        self.settings = {"site": "garden", "door": self.name, "kinds": ["uid", *keys], **settings}

    def pseudonym(self, kind, uid):
        mac = Hmac(derive(self.door_key, b"pseudonym"))
        mac.update(bytes((KINDS[kind],)) + uid)
        return mac.digest()[:7]

    def provision(self):
        self.door.provision(
            {
                "door_key": self.door_key.hex(),
                "journal_key": self.journal_key.hex(),
                "journal_epoch": EPOCH,
                "settings": self.settings,
                "card_keys": [[kind, 1, 1, key.hex()] for kind, key in self.keys.items()],
            }
        )

    async def start(self):
        self.folder.mkdir()
        flash = self.folder / "flash.img"
        command = [Path(sys.executable).with_name("micropython"), ROOT / "tests" / "system" / "grant_card.py", flash]
        command += [pseudonym.hex() for pseudonym in self.listed]
        result = subprocess.run(command, env=micropython_environment(), capture_output=True, text=True, check=False)
        assert result.stdout.strip().endswith("granted"), result.stdout + result.stderr
        self.provision()
        await self.door.start()
        await self.door.ask("net", 0)
        await self.door.run(12)
        return self

    async def show(self, card, seconds=0.6):
        """Hold a card to the reader; True if the lock was released."""
        await self.door.card(str(card), seconds)
        await self.door.run(0.45)
        released = (await self.door.state())["relay"]
        await self.door.run(15)
        return bool(released)

    def records(self):
        offset, size = board_region("journal")
        return read_journal(self.door.flash, offset, size, self.journal_key).records

    def said(self, *kinds):
        """(kind, reason, detail) of the records of these kinds."""
        return [(item.kind, item.reason, item.detail) for item in self.records() if item.kind in kinds]

    def events(self):
        for item in self.records():
            yield Event(
                self.name, EPOCH, item.seq, item.boot, item.time, item.trust, item.uncertainty, item.kind, item.reason,
                item.pseudonym.hex(), item.detail, item.generation, item.chain, item.raw,
            )  # fmt: skip


@pytest.fixture
async def house(tmp_path):
    """Make doors."""
    build()
    houses = []

    async def make(keys=GARDEN, listed=(), **settings):
        houses.append(House(tmp_path / f"door{len(houses)}", len(houses) + 1, keys, listed, **settings))
        return await houses[-1].start()

    yield make
    for made in houses:
        await made.door.stop()


def ntag424(path, keys, uid=UID):
    """A personalised NTAG 424 DNA."""
    values = [[iso_key("ntag424", OFFICE, uid, 0).hex(), 1], [iso_key("ntag424", keys["ntag424"], uid, 1).hex(), 1]]
    path.write_text(json.dumps({"kind": "ntag424", "uid": uid.hex(), "keys": values}))
    return path


def classic(path, keys, uid=CLASSIC_UID, counter=1):
    """A personalised MIFARE Classic."""
    sector = classic_keys(keys["classic"], OFFICE, uid, 1)
    blocks = {
        "4": counter_block(sector.counter, 4, counter, 1).hex(),
        "7": (sector.key_a + bytes.fromhex("7F078869") + sector.key_b).hex(),
    }
    path.write_text(json.dumps({"kind": "classic", "uid": uid.hex(), "blocks": blocks}))
    return path


async def test_a_card_that_proves_itself_opens_and_a_copy_of_its_uid_does_not(house, tmp_path):
    """What a kiosk makes of the card, and what an emulator makes of it that had to invent the key."""
    door = await house(listed=[("ntag424", UID)])
    card = ntag424(tmp_path / "card.json", GARDEN)
    assert await door.show(card)
    copy = tmp_path / "copy.json"
    copy.write_text(json.dumps({"kind": "uid", "uid": UID.hex()}))
    assert not await door.show(copy)
    assert not await door.show(UID.hex())
    assert not await door.show(ntag424(tmp_path / "emulator.json", {"ntag424": b"an invented key!"}))
    assert await door.show(card)
    await door.door.stop()
    shown = door.said(record.GRANTED, record.REFUSED, record.ALARM)
    proven = record.evidence(0, record.KIND_NTAG424, 1)
    false = record.evidence(0, record.KIND_NTAG424)
    assert shown == [
        (record.GRANTED, record.ABOVE_FLOOR, proven),
        (record.REFUSED, record.UNKNOWN, record.evidence(0, record.KIND_UID)),
        (record.REFUSED, record.NOT_PROVEN, false),
        (record.ALARM, record.ALARM_COPY_SUSPECTED, false),
        (record.GRANTED, record.ABOVE_FLOOR, proven),
    ]


async def test_a_uid_card_is_marked_weak_and_a_door_may_do_without(house):
    door = await house(listed=[("uid", CLASSIC_UID)])
    assert await door.show(CLASSIC_UID.hex())
    strict = await house(listed=[("uid", CLASSIC_UID)], kinds=["ntag424"])
    assert not await strict.show(CLASSIC_UID.hex())
    for shown, expected in ((door, (record.GRANTED, record.ABOVE_FLOOR)), (strict, (record.REFUSED, record.TOO_WEAK))):
        await shown.door.stop()
        assert shown.said(record.GRANTED, record.REFUSED) == [(*expected, record.evidence(0, record.KIND_UID))]


async def test_a_copied_classic_card_is_reported_by_its_second_passage_at_the_same_door(house, tmp_path):
    """Nobody is locked out: the holder passes, and so does the copy; both are told of."""
    door = await house(listed=[("classic", CLASSIC_UID)])
    card = classic(tmp_path / "card.json", GARDEN)
    assert await door.show(card)
    copy = tmp_path / "copy.json"
    copy.write_bytes(card.read_bytes())
    assert await door.show(card)
    await door.door.run(5)
    assert await door.show(copy)
    await door.door.run(20)
    assert await door.show(card)
    await door.door.stop()
    alarms = [item for item in door.records() if item.kind == record.ALARM and item.reason != record.ALARM_CLOCK_LOST]
    assert [item.reason for item in alarms] == [record.ALARM_COPY_SUSPECTED]
    assert alarms[0].pseudonym == door.pseudonym("classic", CLASSIC_UID)
    counters = [detail >> 12 for _, _, detail in door.said(record.GRANTED)]
    assert counters == [2, 3, 3, 4]


def about_cards(door):
    """Alarms of a door; that nobody tells it the time is one, too."""
    return [alarm for alarm in door.said(record.ALARM) if alarm[1] != record.ALARM_CLOCK_LOST]


async def test_counters_of_three_doors_meet_one_of_them_a_day_late(house, tmp_path):
    """The card at one door, its copy at two others: none of them alone can know."""
    doors = [await house(listed=[("classic", CLASSIC_UID)]) for _ in range(3)]
    card = classic(tmp_path / "card.json", GARDEN)
    assert await doors[0].show(card)
    copy = tmp_path / "copy.json"
    copy.write_bytes(card.read_bytes())
    assert await doors[0].show(card)
    assert await doors[1].show(copy)
    for _ in range(144):
        await doors[2].door.run(600, stretch=5)
    assert await doors[2].show(copy)
    keys = KeyFile("garden")
    for door in doors:
        await door.door.stop()
        assert about_cards(door) == []
        keys.add(door.name, door.door_key, {})
    store = Store(tmp_path / "upstream.db")
    try:
        check = CopyCheck(store, Cards(keys, [("classic", CLASSIC_UID)]))
        found = {door.name: [finding for event in door.events() for finding in check.take(event)] for door in doors}
    finally:
        store.close()
    assert [len(found[door.name]) for door in doors] == [0, 1, 0]
    assert "classic 9c599b32" in found["door-2"][0].text and "door-1" in found["door-2"][0].text


async def test_a_card_pulled_away_at_any_moment_gets_in_sooner_or_later(house, tmp_path):
    """The passage counter survives, and no alarm is raised against the holder."""
    door = await house(listed=[("classic", CLASSIC_UID)])
    card = classic(tmp_path / "card.json", GARDEN)
    for milliseconds in range(10, 90, 3):
        await door.show(card, milliseconds / 1000)
        assert await door.show(card), milliseconds
    await door.door.stop()
    assert about_cards(door) == []
    counters = [detail >> 12 for _, _, detail in door.said(record.GRANTED)]
    assert counters == sorted(counters)


async def test_from_a_doors_flash_no_card_of_another_community_can_be_made(house, tmp_path):
    """Every 16 bytes of the image are tried as a key: the community's own is found, the other's is not."""
    ours = await house(GARDEN, listed=[("ntag424", UID), ("classic", CLASSIC_UID)])
    theirs = await house(HARBOUR, listed=[("ntag424", UID), ("classic", CLASSIC_UID)])
    assert await ours.show(ntag424(tmp_path / "card.json", GARDEN))
    await ours.door.stop()
    image = ours.door.flash.read_bytes()
    nvs = b"".join(path.read_bytes() for path in ours.folder.iterdir() if path.name != "flash.img")
    windows = {data[at : at + 16] for data in (image, nvs) for at in range(len(data) - 15)}
    windows -= {bytes(16), b"\xff" * 16}
    wanted = {
        keys: (iso_key("ntag424", known["ntag424"], UID, 1), classic_keys(known["classic"], OFFICE, CLASSIC_UID, 1)[0])
        for keys, known in (("ours", GARDEN), ("theirs", HARBOUR))
    }
    found = {"ours": set(), "theirs": set()}
    for window in windows:
        made = (iso_key("ntag424", window, UID, 1), classic_keys(window, window, CLASSIC_UID, 1)[0], window)
        for keys, cards in wanted.items():
            found[keys] |= set(cards) & {made[0], made[1], made[2], made[2][:6]}
    assert found["ours"] == set(wanted["ours"])  # so the search finds what is there
    assert found["theirs"] == set()
    # And with all that was found, at the other community's door:
    assert not await theirs.show(ntag424(tmp_path / "forged.json", GARDEN))
    assert not await theirs.show(classic(tmp_path / "forged2.json", GARDEN))


async def test_two_cards_in_one_purse(house, tmp_path):
    """A bank card beside the door's card: who belongs here gets in."""
    door = await house(listed=[("ntag424", UID)])
    card = ntag424(tmp_path / "card.json", GARDEN)
    await door.door.card("08a1b2c3", 1)
    await door.door.ask("card+", card, 1)
    await door.door.run(0.8)
    assert (await door.door.state())["relay"]


@pytest.mark.parametrize("kind", ["ntag424", "desfire", "classic"])
async def test_from_the_desk_to_the_door(house, tmp_path, kind):
    """A blank card is written at a board in desk mode over its serial port, and then opens a door."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    uid = UID if kind != "classic" else CLASSIC_UID
    desk = House(tmp_path / "desk", 9, {}, (), desk=True)
    desk.door = SimDoor(desk.folder, mode="real", seed=1, terminal=slave)
    desk.folder.mkdir()
    desk.provision()
    card = tmp_path / "card.json"
    card.write_text(json.dumps({"kind": kind, "uid": uid.hex()}))

    async def menwei(*words):
        result = await asyncio.to_thread(CliRunner().invoke, app, ["card", *map(str, words)])
        assert result.exit_code == 0, result.output
        return result.output

    # The board's end of the terminal is the slave; what menwei opens is a second one, joined to it.
    office, cable = pty.openpty()
    tty.setraw(cable)
    loop = asyncio.get_running_loop()
    for source, target in ((master, office), (office, master)):
        loop.add_reader(source, lambda source=source, target=target: os.write(target, os.read(source, 1024)))
    try:
        await desk.door.start()
        await desk.door.card(str(card), "-")
        common = ("--keys", tmp_path / "keys.json")
        await menwei("keys", "init", *common)
        await menwei("keys", "new", "--community", "garden", "--kind", kind, "--number", 1, *common)
        register = ("--register", tmp_path / "cards.db", "--port", os.ttyname(cable))
        await menwei("write", "--kind", kind, "--community", "garden", *common, *register)
        await menwei("check", "--kind", kind, "--community", "garden", *common, *register)
        await menwei("keys", "export-door", "--community", "garden", "--out", tmp_path / "export.json", *common)
        await desk.door.stop()
    finally:
        for source in (master, office):
            loop.remove_reader(source)
        await desk.door.kill()
        for end in (master, slave, office, cable):
            os.close(end)
    entries = json.loads((tmp_path / "export.json").read_text())["card_keys"]
    door = await house({kind: bytes.fromhex(entries[0][3])}, listed=[(kind, uid)])
    assert await door.show(card)
    await door.door.stop()
    assert door.said(record.GRANTED)[0][2] >> 6 & 0x3F == KINDS[kind] | 1 << 3 | (kind == "classic") << 5

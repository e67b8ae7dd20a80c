"""A rotation of card keys ends at a door: the old version is dropped by command, the number of cards known before."""

import asyncio
import json

from typer.testing import CliRunner

from menwei.carddiversify import iso_key
from menwei.cardkeys import CardKeyFile
from menwei.cardregister import Register
from menwei.cli import app
from menwei.stage import DOOR, Stage
from storage import record
from sync.messages import OP_DROP_CARD_KEY, PUT
from sync.upstream import pack_change

OLD_UID, NEW_UID = bytes.fromhex("04112233445566"), bytes.fromhex("04112233445577")


def card(path, uid, keys, version):
    values = [[iso_key("ntag424", keys.write_key(version), uid, 0).hex(), version]]
    values.append([iso_key("ntag424", keys.read_key(version), uid, 1).hex(), version])
    path.write_text(json.dumps({"kind": "ntag424", "uid": uid.hex(), "keys": values}))
    return path


async def test_the_old_version_is_dropped_at_the_door(tmp_path):
    book = CardKeyFile.create(tmp_path / "card-keys.json")
    book.add("garden", "ntag424", 1)
    book.rotate("garden", "ntag424")
    book.save()
    kind = book.kind("garden", "ntag424")
    cards = {1: card(tmp_path / "old.json", OLD_UID, kind, 1), 2: card(tmp_path / "new.json", NEW_UID, kind, 2)}
    with Register(tmp_path / "cards.db") as register:
        for uid, version in ((OLD_UID, 1), (NEW_UID, 2)):
            register.begin("ntag424", uid, "garden", 1)
            register.done("ntag424", uid, version)
    stage = Stage(
        tmp_path / "run", mode="real", seed=5,
        settings={"kinds": ["ntag424"]}, card_keys=book.door_entry("garden"),
    )  # fmt: skip

    async def opens(version):
        await stage.door.card(str(cards[version]), 0.6)
        await stage.door.run(0.45)
        released = (await stage.door.state())["relay"]
        await stage.door.run(7)
        return bool(released)

    async def menwei(*words):
        words = [str(word) for word in ("card", "keys", "drop-at-doors", "--community", "garden", *words)]
        result = await asyncio.to_thread(CliRunner().invoke, app, words)
        return result.exit_code, result.output

    try:
        await stage.start()
        for uid in (OLD_UID, NEW_UID):
            pseudonym = stage.pseudonym(uid, record.KIND_NTAG424)
            stage.upstream.change(DOOR, pack_change(PUT, pseudonym))
        for _ in range(60):
            await stage.door.run(1)
            if any("revision=2" in line for line in stage.door.lines):
                break
        first = await opens(1), await opens(2)
        assert first == (True, True), stage.door.lines
        options = (
            "--kind", "ntag424", "--keys", tmp_path / "card-keys.json", "--register", tmp_path / "cards.db",
            "--broker", stage.broker_url, "--door-keys", stage.key_path, "--db", stage.database,
            "--operator", 7, "--approver", 8,
        )  # fmt: skip
        code, output = await menwei(*options)
        assert code == 1 and "1 cards still need version 1" in output and "--force" in output
        assert await opens(1)
        code, output = await menwei(*options, "--force")
        assert code == 0 and f"{DOOR}: done" in output, output
        assert await opens(2)
        assert not await opens(1)
        code, output = await menwei(*options, "--force")
        assert code == 1 and f"{DOOR}: refused_by_door" in output, output  # it is gone, and the newest is never dropped
    finally:
        await stage.stop()
    records = stage.journal().records
    commands = [item.reason for item in records if item.kind == record.COMMAND]
    assert commands == [OP_DROP_CARD_KEY]
    granted = [item.detail >> 9 & 3 for item in records if item.kind == record.GRANTED]
    assert granted == [1, 2, 1, 2]

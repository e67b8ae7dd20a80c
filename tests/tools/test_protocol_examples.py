"""The examples of docs/protocol-examples.md: made anew from their fields, read by our parsers, made by our builders."""

import json
import re
import struct

import protocol_oracle
import pytest

from menwei import verify
from menwei.build import ROOT
from storage.mac import Hmac, derive
from sync import messages, orders, upstream

TEXT = (ROOT / "docs" / "protocol-examples.md").read_text()
BLOCKS = re.findall(r"^```(json|hex) ([^\n]+)\n(.*?)^```$", TEXT, re.M | re.S)
FIELDS = {name: json.loads(text) for form, name, text in BLOCKS if form == "json"}
WIRE = {name: bytes.fromhex("".join(text.split())) for form, name, text in BLOCKS if form == "hex"}
KEYS = FIELDS["keys"]
DOOR_KEY = bytes.fromhex(KEYS["door_key"])
EPOCH = bytes.fromhex(KEYS["journal_epoch"])


def key(purpose):
    return derive(DOOR_KEY, purpose)


def nonce(name):
    return bytes.fromhex(FIELDS[name]["nonce"])


def built_change(fields):
    values = (fields[name] for name in ("valid_from", "valid_until", "group", "key_version", "uses"))
    return upstream.pack_change(fields["operation"], bytes.fromhex(fields["pseudonym"]), *values)


def is_change(parsed, fields):
    names = ("operation", "pseudonym", "valid_from", "valid_until", "group", "key_version", "uses")
    assert dict(zip(names, parsed, strict=True)) == fields | {"pseudonym": bytes.fromhex(fields["pseudonym"])}


def test_every_kind_of_message_has_an_example():
    assert set(WIRE) == set(protocol_oracle.MAKERS)
    assert set(WIRE) < set(FIELDS)


@pytest.mark.parametrize("name", sorted(WIRE))
def test_an_example_is_what_its_fields_say(name):
    assert protocol_oracle.make(name, FIELDS[name], KEYS) == WIRE[name]


def test_derived_keys_and_pseudonym():
    for purpose, expected in FIELDS["derived"].items():
        assert protocol_oracle.derive(DOOR_KEY, purpose).hex() == expected
        assert key(purpose.encode()).hex() == expected
    example = FIELDS["pseudonym"]
    mac = Hmac(key(b"pseudonym"))
    mac.update(bytes([example["kind"]]) + bytes.fromhex(example["credential"]))
    assert mac.digest()[:7].hex() == example["pseudonym"]


def test_the_purposes_are_those_of_the_protocol():
    named = set(re.findall(r"K\(`([a-z-]+)`\)", (ROOT / "docs" / "protocol.md").read_text()))
    assert named <= set(FIELDS["derived"])


@pytest.mark.parametrize("name", ["event", "event/now"])
def test_records_are_read_and_verified(name):
    fields, batch = FIELDS[name], upstream.parse_batch(WIRE[name])
    assert (batch.epoch, batch.first) == (EPOCH, fields["records"][0]["sequence"])
    assert (batch.generation, batch.chain.hex()) == (fields["generation"], fields["chain_before"])
    found = verify.run(bytes.fromhex(KEYS["journal_key"]), batch, [(batch.chain, batch.generation)])
    assert [item.seq for item in found.items] == [one["sequence"] for one in fields["records"]]
    for item, one in zip(found.items, fields["records"], strict=True):
        for member in ("boot", "time", "trust", "kind", "reason", "detail"):
            assert getattr(item, member) == one[member], member
        assert item.pseudonym == bytes.fromhex(one["pseudonym"])


def test_the_payload_of_a_command_record():
    long = next(one for one in FIELDS["event"]["records"] if "payload" in one)
    operator, approver, argument, reason = struct.unpack_from("<IIIH", bytes.fromhex(long["payload"]))
    command = FIELDS["cmd"]
    assert (operator, approver, argument, reason) == tuple(
        command[name] for name in ("operator", "approver", "argument", "reason")
    )
    assert long["payload"][28:] == command["nonce"][:20]
    assert (long["reason"], long["detail"]) == (command["operation"], command["id"])


def test_acknowledgement():
    fields = FIELDS["event/ack"]
    arguments = EPOCH, fields["sequence"], bytes.fromhex(fields["chain"])
    assert messages.parse_ack(key(b"event-ack"), WIRE["event/ack"]) == arguments
    assert upstream.build_ack(key(b"event-ack"), *arguments) == WIRE["event/ack"]
    assert fields["chain"] == FIELDS["state"]["chain"]


def test_state():
    assert upstream.parse_state(key(b"state"), WIRE["state"]) == FIELDS["state"]
    assert messages.build_state(key(b"state"), FIELDS["state"]) == WIRE["state"]


def test_delta():
    fields, delta = FIELDS["list delta"], orders.parse_delta(key(b"list"), WIRE["list delta"])
    office = bytes.fromhex(fields["office_epoch"])
    assert delta.epoch == int.from_bytes(office, "little")
    assert (delta.from_revision, delta.to_revision, delta.count) == (fields["from"], fields["to"], 3)
    for index, change in enumerate(fields["changes"]):
        is_change(delta.change(index), change)
    changes = [built_change(change) for change in fields["changes"]]
    assert upstream.build_delta(key(b"list"), office, fields["from"], fields["to"], changes) == WIRE["list delta"]


@pytest.mark.skipif(not hasattr(upstream, "build_page"), reason="pages of the list are not made yet")
def test_page():
    fields = FIELDS["list page"]
    place = fields["revision"], fields["first"], fields["behind"]
    cards = [built_change(card) for card in fields["cards"]]
    office = bytes.fromhex(fields["office_epoch"])
    assert upstream.build_page(key(b"list"), nonce("list page"), office, *place, cards) == WIRE["list page"]


def test_command():
    fields, command = FIELDS["cmd"], orders.parse_command(key(b"cmd"), key(b"approve"), WIRE["cmd"])
    assert command.approved
    assert command.nonce == nonce("cmd")
    read = {
        "operation": command.operation, "reason": command.reason, "nonce": bytes(command.nonce).hex(),
        "id": command.number, "deadline": command.deadline_s, "operator": command.operator,
        "approver": command.approver, "argument": command.argument,
    }  # fmt: skip
    assert read == fields
    body = upstream.command_body(
        fields["operation"], fields["reason"], nonce("cmd"), fields["id"], fields["deadline"], fields["operator"],
        fields["approver"], fields["argument"],
    )  # fmt: skip
    assert upstream.build_command(key(b"cmd"), body, upstream.approval(key(b"approve"), body)) == WIRE["cmd"]


def test_result():
    fields = FIELDS["cmd/result"]
    arguments = fields["operation"], fields["result"], fields["id"], nonce("cmd/result")
    assert upstream.parse_result(key(b"result"), WIRE["cmd/result"]) == arguments
    assert orders.build_result(key(b"result"), *arguments) == WIRE["cmd/result"]


@pytest.mark.skipif(not hasattr(upstream, "seal_parcel"), reason="parcels are not made yet")
def test_parcel():
    fields, first = FIELDS["parcel"], WIRE["parcel"]
    _, kind, count, number, offset, total = struct.unpack_from("<BBHIII", first)
    assert (kind, number, offset, count) == (fields["kind"], fields["number"], 0, total)
    file = first[16 : 16 + total]
    assert upstream.seal_parcel(key(b"parcel"), kind, number, file[:-16]) == file
    assert b"".join(upstream.build_parcel(key(b"parcel"), kind, number, file)) == WIRE["parcel"]
    from menwei.parcel import Parcel

    made = Parcel.make(DOOR_KEY, number, fields["content"])
    assert (made.kind, len(made.file)) == (kind, total)


@pytest.mark.parametrize("name", sorted(set(WIRE) - {"event", "event/now", "list page", "parcel"}))
def test_no_bit_of_an_example_may_be_another(name):
    readers = {
        "event/ack": lambda data: messages.parse_ack(key(b"event-ack"), data),
        "state": lambda data: upstream.parse_state(key(b"state"), data),
        "list delta": lambda data: orders.parse_delta(key(b"list"), data),
        "cmd": lambda data: orders.parse_command(key(b"cmd"), key(b"approve"), data),
        "cmd/result": lambda data: upstream.parse_result(key(b"result"), data),
    }
    for position in range(len(WIRE[name])):
        data = bytearray(WIRE[name])
        data[position] ^= 1 << position % 8
        with pytest.raises(messages.Refused):
            readers[name](bytes(data))

"""Message formats on CPython: what one side builds the other reads, against an oracle of the standard library."""

import hmac
import json
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from storage.mac import derive
from sync import messages, orders, upstream

KEY = derive(bytes(range(32)), b"cmd")
APPROVE = derive(bytes(range(32)), b"approve")
number = st.integers(0, (1 << 30) - 1)
epochs = st.binary(min_size=4, max_size=4)
nonces = st.binary(min_size=16, max_size=16)
pseudonyms = st.binary(min_size=7, max_size=7)
minutes = st.integers(0, 0xFFFFFF)
changes = st.tuples(
    st.integers(1, 4), pseudonyms, minutes, minutes, st.integers(0, 63), st.integers(0, 3), st.integers(0, 16)
)

PARSERS = {
    "ack": lambda data: messages.parse_ack(KEY, data),
    "delta": lambda data: orders.parse_delta(KEY, data),
    "command": lambda data: orders.parse_command(KEY, APPROVE, data),
    "result": lambda data: upstream.parse_result(KEY, data),
    "state": lambda data: upstream.parse_state(KEY, data),
}


def tag(data, key=KEY):
    return hmac.digest(key, bytes(data), "sha256")[:16]


def sealed(data):
    return data + tag(data)


def test_keys_by_purpose():
    assert hmac.digest(bytes(range(32)), b"menwei/v1/cmd", "sha256") == KEY


@given(epochs, number, pseudonyms)
def test_ack(epoch, sequence, chain):
    wire = upstream.build_ack(KEY, epoch, sequence, chain)
    assert wire == sealed(b"\x01" + epoch + struct.pack("<I", sequence) + chain)
    assert messages.parse_ack(KEY, wire) == (epoch, sequence, chain)


@given(epochs, st.tuples(number, number).filter(lambda pair: pair[0] < pair[1]), st.lists(changes, max_size=32))
def test_delta(epoch, revisions, wanted):
    wire = upstream.build_delta(KEY, epoch, *revisions, [upstream.pack_change(*change) for change in wanted])
    body = struct.pack("<BBH4sII", 1, 1, len(wanted), epoch, *revisions)
    for operation, pseudonym, start, end, group, version, uses in wanted:
        times = struct.pack("<I", start)[:3] + struct.pack("<I", end)[:3]
        body += bytes([operation]) + pseudonym + times + bytes([group, version + 4 * uses])
    assert wire == sealed(body)
    delta = orders.parse_delta(KEY, wire)
    assert (delta.epoch.to_bytes(4, "little"), delta.from_revision, delta.to_revision) == (epoch, *revisions)
    assert [delta.change(index) for index in range(delta.count)] == wanted


@given(st.integers(0, 255), st.integers(0, 65535), nonces, number, number, number, number, number, st.booleans())
def test_command(operation, reason, nonce, command_id, deadline, operator, approver, argument, approve):
    body = upstream.command_body(operation, reason, nonce, command_id, deadline, operator, approver, argument)
    fields = struct.pack("<IIIII", command_id, deadline, operator, approver, argument)
    assert body == bytes([1, operation]) + struct.pack("<H", reason) + nonce + fields
    approval = upstream.approval(APPROVE, body) if approve else bytes(16)
    wire = upstream.build_command(KEY, body, approval)
    assert wire == sealed(body + (tag(body, APPROVE) if approve else bytes(16)))
    command = orders.parse_command(KEY, APPROVE, wire)
    assert command.approved == (approve and approver > 0)
    assert (command.operation, command.reason, command.nonce) == (operation, reason, nonce)
    assert (command.number, command.deadline_s, command.operator) == (command_id, deadline, operator)
    assert (command.approver, command.argument) == (approver, argument)
    expected = struct.pack("<IIIH", operator, approver, argument, reason) + nonce[:10]
    assert command.evidence() == expected


@given(st.integers(0, 255), st.integers(0, 65535), number, nonces)
def test_result(operation, result, command_id, nonce):
    wire = orders.build_result(KEY, operation, result, command_id, nonce)
    assert wire == sealed(bytes([1, operation]) + struct.pack("<HI", result, command_id) + nonce)
    assert upstream.parse_result(KEY, wire) == (operation, result, command_id, nonce)


@given(st.dictionaries(st.text(), st.none() | st.booleans() | number | st.text() | st.lists(number)))
def test_state(members):
    members["v"] = 1
    wire = messages.build_state(KEY, members)
    body, mac = wire.rsplit(b"\n", 1)
    assert json.loads(body) == members
    assert mac == tag(body).hex().encode()
    if len(wire) <= 2048:
        assert upstream.parse_state(KEY, wire) == members
    else:
        with pytest.raises(messages.Refused):
            upstream.parse_state(KEY, wire)


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b'{"v":2}', b"{}", b"{", b"\xff\xff", b"[" * 1900])
def test_an_authentic_state_that_is_none_is_refused(body):
    with pytest.raises(messages.Refused):
        upstream.parse_state(KEY, body + b"\n" + tag(body).hex().encode())


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"\n",
        messages.WILL + b"\n",
        messages.WILL + b"\n" + b"0" * 32,
        b'{"v":1}\n' + b" " * 32,
        b'{"v":1}\n' + b"zz" * 16,
        b'{"v":1}\n' + b"\xff" * 32,
        b'{"v":1,"online":1}',
        b"x" * 2049,
    ],
)
def test_a_state_without_its_mac_is_refused(wire):
    with pytest.raises(messages.Refused):
        upstream.parse_state(KEY, wire)


@given(epochs, number, number, pseudonyms, st.integers(1, 32), st.data())
def test_batch(epoch, first, generation, chain, count, data):
    slots = data.draw(st.binary(min_size=32 * count, max_size=32 * count))
    header = bytes([1, 0, count, 0]) + epoch + struct.pack("<II", first, generation) + chain + b"\0"
    batch = upstream.parse_batch(header + slots)
    assert (batch.count, batch.epoch, batch.first, batch.generation, batch.chain) == (
        count,
        epoch,
        first,
        generation,
        chain,
    )
    assert b"".join(batch.slot(index) for index in range(count)) == slots


@given(st.binary(max_size=1100))
@example(b"\x01\x00\x00\x00" + bytes(20))
@example(b"\x01\x00\x21\x00" + bytes(20 + 33 * 32))
@example(b"\x01\x00\x01\x00" + bytes(4) + b"\xff" * 8 + bytes(8 + 32))
def test_batch_refuses_or_reads(data):
    try:
        batch = upstream.parse_batch(data)
    except messages.Refused:
        return
    assert len(data) == 24 + 32 * batch.count


@given(st.sampled_from(sorted(PARSERS)), st.binary(max_size=300).filter(lambda data: data != messages.WILL))
def test_parsers_of_noise_refuse(name, data):
    with pytest.raises(messages.Refused):
        PARSERS[name](data)


@given(st.sampled_from(sorted(PARSERS)), st.data())
def test_one_flipped_bit_is_refused(name, data):
    wire = {
        "ack": upstream.build_ack(KEY, b"epoc", 5, b"chain77"),
        "delta": upstream.build_delta(KEY, b"epoc", 1, 2, [upstream.pack_change(1, b"pseudo7")] * 2),
        "command": upstream.build_command(KEY, upstream.command_body(1, 2, bytes(16), 1, 2, 3)),
        "result": orders.build_result(KEY, 1, 0, 1, bytes(16)),
        "state": messages.build_state(KEY, {"v": 1, "online": 1}),
    }[name]
    PARSERS[name](wire)
    bit = data.draw(st.integers(0, len(wire) * 8 - 1))
    bad = bytearray(wire)
    bad[bit // 8] ^= 1 << bit % 8
    if name == "state" and bit // 8 > wire.index(b"\n") and bit % 8 == 5:
        return  # the same hex digit as a capital: the same MAC
    with pytest.raises(messages.Refused):
        PARSERS[name](bytes(bad))


@given(st.sampled_from(sorted(PARSERS)), st.binary(min_size=1, max_size=200))
def test_authentic_nonsense_is_read_or_refused(name, body):
    wire = body + b"\n" + tag(body).hex().encode() if name == "state" else sealed(body)
    try:
        PARSERS[name](wire)
    except messages.Refused as error:
        assert len(str(error)) > 10


@pytest.mark.parametrize(
    "text",
    [
        "menwei/v1/site/door/evil",
        "menwei/v2/site/door/event",
        "menwei/v1/Site/door/event",
        "menwei/v1/site//event",
        "menwei/v1/site/" + "d" * 33 + "/event",
        "menwei/v1/site/+/event",
        "menwei/v1/site/event",
        "x",
        "",
    ],
)
def test_topics_of_strangers_are_refused(text):
    with pytest.raises(messages.Refused):
        upstream.parse_topic(text)


@pytest.mark.parametrize("leaf", ["event", "event/ack", "state", "list", "cmd", "cmd/result"])
def test_topics(leaf):
    assert upstream.parse_topic(messages.topic("site", "d-1", leaf)) == ("site", "d-1", leaf)

import random
import time
from hashlib import sha256
from unittest import TestCase

from sync import messages, orders, upstream

_KEY = bytes(range(32))
_OTHER = bytes(32)
_EPOCH = b"\xaa\xbb\xcc\xdd"
_CHAIN = b"chain77"
_NONCE = bytes(range(100, 116))


def hmac(key, data):
    """RFC 2104, apart from storage/mac.py."""
    key = key + bytes(64 - len(key))
    inner = sha256(bytes(k ^ 0x36 for k in key))
    inner.update(data)
    outer = sha256(bytes(k ^ 0x5C for k in key))
    outer.update(inner.digest())
    return outer.digest()[:16]


def result_of(call):
    try:
        call()
    except messages.Refused as error:
        return error.result
    return None


class Acknowledgement(TestCase):
    wire = b"\x01\xaa\xbb\xcc\xdd\x67\x12\x00\x00chain77"

    def test_bytes_are_those_of_the_protocol(self):
        wire = self.wire + hmac(_KEY, self.wire)
        self.assertEqual(upstream.build_ack(_KEY, _EPOCH, 0x1267, _CHAIN), wire)
        self.assertEqual(messages.parse_ack(_KEY, memoryview(wire)), (_EPOCH, 0x1267, _CHAIN))

    def test_every_changed_byte_is_noticed(self):
        wire = self.wire + hmac(_KEY, self.wire)
        for index in range(32):
            bad = bytearray(wire)
            bad[index] ^= 0x10
            expected = messages.MALFORMED if index == 0 else messages.WRONG_MAC
            self.assertEqual(result_of(lambda bad=bad: messages.parse_ack(_KEY, bad)), expected)
        self.assertEqual(result_of(lambda: messages.parse_ack(_OTHER, wire)), messages.WRONG_MAC)
        for length in (0, 1, 31, 33, 1000):
            bad = (wire + bytes(1000))[:length]
            self.assertEqual(result_of(lambda bad=bad: messages.parse_ack(_KEY, bad)), messages.MALFORMED)

    def test_a_number_beyond_the_small_integers_is_refused(self):
        wire = upstream.build_ack(_KEY, _EPOCH, 1 << 30, _CHAIN)
        self.assertEqual(result_of(lambda: messages.parse_ack(_KEY, wire)), messages.MALFORMED)
        wire = upstream.build_ack(_KEY, _EPOCH, (1 << 30) - 1, _CHAIN)
        self.assertEqual(messages.parse_ack(_KEY, wire)[1], (1 << 30) - 1)


class List(TestCase):
    change = b"\x02pseudo7\x01\x02\x03\x04\x05\x06\x3f\x42"

    def test_bytes_are_those_of_the_protocol(self):
        self.assertEqual(upstream.pack_change(2, b"pseudo7", 0x030201, 0x060504, 63, 2, 16), self.change)
        body = b"\x01\x01\x02\x00\xaa\xbb\xcc\xdd\x05\x00\x00\x00\x09\x01\x00\x00" + self.change * 2
        wire = upstream.build_delta(_KEY, _EPOCH, 5, 265, [self.change] * 2)
        self.assertEqual(wire, body + hmac(_KEY, body))
        delta = orders.parse_delta(_KEY, memoryview(wire))
        self.assertEqual((delta.count, delta.epoch, delta.from_revision, delta.to_revision), (2, 0xDDCCBBAA, 5, 265))
        for index in range(2):
            self.assertEqual(delta.change(index), (2, b"pseudo7", 0x030201, 0x060504, 63, 2, 16))

    def test_no_change_and_the_most_changes(self):
        for count in (0, 1, 32):
            wire = upstream.build_delta(_KEY, _EPOCH, 0, 1, [self.change] * count)
            self.assertEqual(len(wire), 32 + 16 * count)
            self.assertEqual(orders.parse_delta(_KEY, wire).count, count)
        wire = upstream.build_delta(_KEY, _EPOCH, 0, 1, [self.change] * 33)
        self.assertEqual(result_of(lambda: orders.parse_delta(_KEY, wire)), messages.MALFORMED)

    def test_a_delta_that_breaks_the_table_is_refused_whole(self):
        for index, value in ((0, 0), (0, 5), (0, 255), (14, 64), (15, 17 << 2), (15, 0x80)):
            bad = bytearray(self.change)
            bad[index] = value
            wire = upstream.build_delta(_KEY, _EPOCH, 0, 1, [self.change, bad])
            self.assertEqual(result_of(lambda wire=wire: orders.parse_delta(_KEY, wire)), messages.MALFORMED)
        for first, last in ((1, 1), (2, 1), (0, 1 << 30), (1 << 30, 1 << 31)):
            wire = upstream.build_delta(_KEY, _EPOCH, first, last, [])
            self.assertEqual(result_of(lambda wire=wire: orders.parse_delta(_KEY, wire)), messages.MALFORMED)

    def test_count_and_length_must_agree(self):
        wire = upstream.build_delta(_KEY, _EPOCH, 0, 1, [self.change] * 3)
        for length in range(len(wire)):
            bad = wire[:length]
            self.assertEqual(result_of(lambda bad=bad: orders.parse_delta(_KEY, bad)), messages.MALFORMED)
        for index in (1, 2, 3):
            bad = bytearray(wire)
            bad[index] ^= 2
            self.assertEqual(result_of(lambda bad=bad: orders.parse_delta(_KEY, bad)), messages.MALFORMED)


class Commands(TestCase):
    body = (
        b"\x01\x01\x03\x01"
        + _NONCE
        + b"\x04\x00\x00\x00\x3c\x00\x00\x00\x07\x00\x00\x00\x08\x00\x00\x00\x09\x00\x00\x00"
    )

    def test_bytes_are_those_of_the_protocol(self):
        body = upstream.command_body(1, 0x103, _NONCE, 4, 60, 7, 8, 9)
        self.assertEqual(body, self.body)
        approval = upstream.approval(_OTHER, body)
        self.assertEqual(approval, hmac(_OTHER, body))
        wire = upstream.build_command(_KEY, body, approval)
        self.assertEqual(wire, body + approval + hmac(_KEY, body + approval))
        command = orders.parse_command(_KEY, _OTHER, memoryview(wire))
        self.assertEqual(
            (command.operation, command.reason, command.nonce, command.number, command.deadline_s),
            (1, 0x103, _NONCE, 4, 60),
        )
        self.assertEqual((command.operator, command.approver, command.argument, command.approved), (7, 8, 9, True))
        self.assertEqual(command.evidence(), b"\x07\x00\x00\x00\x08\x00\x00\x00\x09\x00\x00\x00\x03\x01" + _NONCE[:10])

    def test_approval_needs_a_name_and_its_mac(self):
        wire = upstream.build_command(_KEY, self.body)
        self.assertFalse(orders.parse_command(_KEY, _OTHER, wire).approved)
        wire = upstream.build_command(_KEY, self.body, upstream.approval(_KEY, self.body))
        self.assertFalse(orders.parse_command(_KEY, _OTHER, wire).approved)
        nobody = upstream.command_body(1, 0, _NONCE, 4, 60, 7, 0)
        wire = upstream.build_command(_KEY, nobody, upstream.approval(_OTHER, nobody))
        self.assertFalse(orders.parse_command(_KEY, _OTHER, wire).approved)

    def test_every_changed_byte_is_noticed(self):
        wire = upstream.build_command(_KEY, self.body, upstream.approval(_OTHER, self.body))
        for index in range(72):
            bad = bytearray(wire)
            bad[index] ^= 0x80
            expected = messages.MALFORMED if index == 0 else messages.WRONG_MAC
            self.assertEqual(result_of(lambda bad=bad: orders.parse_command(_KEY, _OTHER, bad)), expected)


class Answers(TestCase):
    def test_result(self):
        wire = b"\x01\x02\x09\x00\x05\x00\x00\x00" + _NONCE
        wire += hmac(_KEY, wire)
        self.assertEqual(orders.build_result(_KEY, 2, 9, 5, _NONCE), wire)
        self.assertEqual(upstream.parse_result(_KEY, wire), (2, 9, 5, _NONCE))

    def test_state(self):
        members = {"v": 1, "online": 1, "alarms": [1, 7], "list": ["aabbccdd", 5], "sw": "0.1.0"}
        wire = messages.build_state(_KEY, members)
        body, mac = wire.split(b"\n")
        self.assertEqual(mac, hmac(_KEY, body).hex().encode())
        self.assertFalse(b" " in body)
        self.assertEqual(upstream.parse_state(_KEY, wire), members)
        self.assertEqual(upstream.parse_state(_KEY, messages.WILL), {"v": 1, "online": 0})

    def test_topic(self):
        self.assertEqual(messages.topic("garden", "gate-1", "event/ack"), "menwei/v1/garden/gate-1/event/ack")
        self.assertEqual(upstream.parse_topic("menwei/v1/garden/gate-1/event/ack"), ("garden", "gate-1", "event/ack"))


class Fuzz(TestCase):
    def test_parsers_raise_nothing_but_refused(self):
        seed = time.ticks_us() & 0xFFFFFF
        print("seed", seed)
        random.seed(seed)
        change = upstream.pack_change(1, b"pseudo7")
        good = (
            upstream.build_ack(_KEY, _EPOCH, 5, _CHAIN),
            upstream.build_delta(_KEY, _EPOCH, 5, 6, [change] * 3),
            upstream.build_command(_KEY, Commands.body),
            orders.build_result(_KEY, 1, 0, 1, _NONCE),
            messages.build_state(_KEY, {"v": 1}),
            b"\x01\x00\x02\x00" + bytes(20 + 64),
        )
        parsers = (
            lambda data: messages.parse_ack(_KEY, data),
            lambda data: orders.parse_delta(_KEY, data),
            lambda data: orders.parse_command(_KEY, _OTHER, data),
            lambda data: upstream.parse_result(_KEY, data),
            lambda data: upstream.parse_state(_KEY, data),
            lambda data: upstream.parse_batch(data).slot(0),
        )
        for parse, data in zip(parsers, good):
            parse(data)
        for _ in range(3000):
            data = bytearray(good[random.getrandbits(8) % len(good)])
            for _ in range(random.getrandbits(2)):
                data[random.getrandbits(10) % len(data)] = random.getrandbits(8)
            if random.getrandbits(1):
                data = data[: random.getrandbits(7)]
            original = bytes(data) in good
            for parse in parsers:
                result = result_of(lambda parse=parse, data=data: parse(memoryview(data)))
                if not original and parse is not parsers[5]:
                    self.assertTrue(result in (messages.MALFORMED, messages.WRONG_MAC))

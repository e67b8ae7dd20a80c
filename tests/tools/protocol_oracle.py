"""The messages of docs/protocol.md, made from their fields with CPython's own hmac and struct; nothing of ours is used.

make("event/ack", {"epoch": "01020304", "sequence": 2, "chain": "…"}, keys)     # bytes
"""

import hashlib
import hmac
import json
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def derive(door_key, purpose):
    return hmac.digest(door_key, b"menwei/v1/" + purpose.encode(), "sha256")


def _mac(keys, purpose, data):
    return hmac.digest(derive(bytes.fromhex(keys["door_key"]), purpose), data, "sha256")[:16]


def _minutes(value):
    return value.to_bytes(3, "little")


def change(fields):
    flags = fields["key_version"] | fields["uses"] << 2
    data = bytes([fields["operation"]]) + bytes.fromhex(fields["pseudonym"])
    data += _minutes(fields["valid_from"]) + _minutes(fields["valid_until"])
    return data + bytes([fields["group"], flags])


def record(fields, key, generation, chain):
    """(bytes of the slots, chain value behind them) of one record, as it lies in flash."""
    payload = fields.get("payload")
    body = bytes([0x55 if payload is None else 0x33])
    body += struct.pack(
        "<IHI", fields["sequence"] | (generation & 3) << 30, fields["boot"], fields["time"] | fields["trust"] << 30
    )
    body += bytes([fields["uncertainty"], fields["kind"], fields["reason"]]) + bytes.fromhex(fields["pseudonym"])
    body += struct.pack("<I", fields["detail"])
    second = b"" if payload is None else b"\x3c" + bytes.fromhex(payload)
    tag = hmac.digest(key, chain + body + second, "sha256")
    slots = body + tag[:7]
    if payload is not None:
        slots += second + tag[7:14]
    return slots, tag[:7]


def event(fields, keys):
    key = bytes.fromhex(keys["journal_key"])
    for _ in range(fields["generation"]):
        key = hashlib.sha256(b"menwei next key" + key).digest()[:16]
    chain = bytes.fromhex(fields["chain_before"])
    slots = b""
    for one in fields["records"]:
        made, chain = record(one, key, fields["generation"], chain)
        slots += made
    head = bytes([1, 0, len(slots) // 32, 0]) + bytes.fromhex(keys["journal_epoch"])
    head += struct.pack("<II", fields["records"][0]["sequence"], fields["generation"])
    return head + bytes.fromhex(fields["chain_before"]) + b"\0" + slots


def ack(fields, keys):
    data = b"\1" + bytes.fromhex(keys["journal_epoch"]) + struct.pack("<I", fields["sequence"])
    data += bytes.fromhex(fields["chain"])
    return data + _mac(keys, "event-ack", data)


def state(fields, keys):
    body = json.dumps(fields, separators=(",", ":")).encode()
    return body + b"\n" + _mac(keys, "state", body).hex().encode()


def delta(fields, keys):
    data = struct.pack("<BBH", 1, 1, len(fields["changes"])) + bytes.fromhex(fields["office_epoch"])
    data += struct.pack("<II", fields["from"], fields["to"]) + b"".join(map(change, fields["changes"]))
    return data + _mac(keys, "list", data)


def page(fields, keys):
    data = struct.pack("<BBH", 1, 2, len(fields["cards"])) + bytes.fromhex(fields["office_epoch"])
    data += struct.pack("<III", fields["revision"], fields["first"], fields["behind"])
    data += b"".join(map(change, fields["cards"]))
    return data + _mac(keys, "list", data + bytes.fromhex(fields["nonce"]))


def command(fields, keys):
    data = struct.pack("<BBH", 1, fields["operation"], fields["reason"]) + bytes.fromhex(fields["nonce"])
    data += struct.pack("<III", fields["id"], fields["deadline"], fields["operator"])
    data += struct.pack("<II", fields["approver"], fields["argument"])
    data += _mac(keys, "approve", data) if fields["approver"] else bytes(16)
    return data + _mac(keys, "cmd", data)


def result(fields, keys):
    data = struct.pack("<BBHI", 1, fields["operation"], fields["result"], fields["id"]) + bytes.fromhex(fields["nonce"])
    return data + _mac(keys, "result", data)


def parcel(fields, keys):
    """All pages of a parcel, one behind the other."""
    plain = json.dumps(fields["content"], separators=(",", ":")).encode()
    padding = 16 - len(plain) % 16
    iv = bytes.fromhex(fields["iv"])
    cipher = Cipher(algorithms.AES(derive(bytes.fromhex(keys["door_key"]), "secret")), modes.CBC(iv)).encryptor()
    sealed = iv + cipher.update(plain + bytes([padding]) * padding) + cipher.finalize()
    kind, number, total = fields["kind"], fields["number"], len(sealed) + 16
    file = sealed + _mac(keys, "parcel", struct.pack("<BBHIII", 0, kind, 0, number, 0, total) + sealed)
    pages = b""
    for offset in range(0, total, 512):
        data = file[offset : offset + 512]
        data = struct.pack("<BBHIII", 1, kind, len(data), number, offset, total) + data
        pages += data + _mac(keys, "parcel", data)
    return pages


MAKERS = {
    "event": event, "event/now": event, "event/ack": ack, "state": state, "list delta": delta, "list page": page,
    "cmd": command, "cmd/result": result, "parcel": parcel,
}  # fmt: skip


def make(name, fields, keys):
    return MAKERS[name](fields, keys)

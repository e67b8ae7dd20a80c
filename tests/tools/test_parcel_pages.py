"""A parcel as bytes, against the page docs/protocol.md: header, cipher and both MACs by the standard library."""

import hmac
import json
import struct

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from menwei.parcel import Parcel

DOOR_KEY = bytes(range(32))
CONTENT = {"settings": {"open_s": 7}, "wifi_secret": "correct horse 电池"}


def key(purpose):
    return hmac.digest(DOOR_KEY, b"menwei/v1/" + purpose, "sha256")


def tag(data):
    return hmac.digest(key(b"parcel"), data, "sha256")[:16]


def opened(file):
    decryptor = Cipher(algorithms.AES(key(b"secret")), modes.CBC(file[:16])).decryptor()
    plain = decryptor.update(file[16:-16]) + decryptor.finalize()
    assert plain.endswith(bytes([plain[-1]]) * plain[-1])
    return json.loads(plain[: -plain[-1]])


def unpaged(pages, number, start=0):
    """The bytes that pages carry, each looked at."""
    data = b""
    for page in pages:
        version, kind, count, found, offset, total = struct.unpack_from("<BBHIII", page)
        assert (version, found, offset, len(page)) == (1, number, start + len(data), 16 + count + 16)
        assert 1 <= count <= 512
        assert page[-16:] == tag(page[:-16])
        data += page[16:-16]
    assert start + len(data) == total
    return kind, data


def test_pages_carry_a_sealed_file():
    parcel = Parcel.make(DOOR_KEY, 7, {**CONTENT, "card_keys": [["ntag424", 1, 1, "00" * 16]] * 30})
    kind, file = unpaged(parcel.pages(), 7)
    assert (kind, file) == (1, parcel.file)
    assert file[-16:] == tag(struct.pack("<BBHIII", 0, 1, 0, 7, 0, len(file)) + file[:-16])
    assert opened(file)["settings"] == {"open_s": 7}
    assert len(parcel.pages()) == -(-len(file) // 512) > 1


def test_what_holds_nothing_but_a_certificate_is_of_another_kind():
    assert unpaged(Parcel.make(DOOR_KEY, 1, {"tls": {}}).pages(), 1)[0] == 2
    assert unpaged(Parcel.make(DOOR_KEY, 1, {"tls": {}, "settings": {}}).pages(), 1)[0] == 1


def test_pages_go_on_where_the_door_is():
    parcel = Parcel.make(DOOR_KEY, 7, {"wifi_secret": "x" * 1500})
    whole = unpaged(parcel.pages(), 7)[1]
    for start in (0, 1, 512, 600, len(whole) - 1):
        assert unpaged(parcel.pages(7, start), 7, start)[1] == whole[start:]
    assert parcel.pages(7, len(whole)) == []
    assert parcel.pages(6, 512) == parcel.pages()


def test_the_same_content_looks_different_each_time():
    first, second = (Parcel.make(DOOR_KEY, 7, CONTENT).file for _ in range(2))
    assert first != second and opened(first) == opened(second) == CONTENT


def test_what_a_parcel_may_not_say():
    for content in ({}, {"erase": True}, {"settings": {}, "journal_key": "00" * 16}):
        with pytest.raises(ValueError, match="nothing else"):
            Parcel.make(DOOR_KEY, 7, content)
    for number in (0, -1, 1 << 30):
        with pytest.raises(ValueError, match="number"):
            Parcel.make(DOOR_KEY, number, CONTENT)
    with pytest.raises(ValueError, match="send it in two"):
        Parcel.make(DOOR_KEY, 7, {"wifi_secret": "x" * 8192})


def test_nothing_of_it_is_shown():
    parcel = Parcel.make(DOOR_KEY, 7, CONTENT)
    assert repr(parcel) == "Parcel(kind=1, number=7)"

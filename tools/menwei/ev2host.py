"""EV2 secure messaging on the host: what NTAG 424 DNA and DESFire EV2 and EV3 speak with who holds a key of theirs.

    session = authenticate(send, 0, key)                    # send(apdu) -> answer, both bytes
    version = session.command(0x64, b"\\x01")                # CommMode.MAC
    session.change_key(1, new, version=2, old=bytes(16))
    session.change_key(0, new, version=2)                   # the session's own key: it ends the session

Sources: NT4H2421Gx 9.1 and 10.6, AN12196 5 and 6; DESFire EV2 does the same (AN12343). AES only, no LRP.
"""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Callable

from menwei.carddiversify import aes_cbc, cmac

Send = Callable[[bytes], bytes]

OK = 0x9100
MORE = 0x91AF
_ZERO = bytes(16)

_REASONS = {
    0x911E: "integrity error: the old key or the message is not the card's",
    0x9140: "there is no such key",
    0x917E: "wrong length",
    0x919D: "permission denied",
    0x919E: "wrong parameter",
    0x91A0: "there is no such application",
    0x91AD: "the card makes everybody wait after failed authentications; leave it on the reader and try again",
    0x91AE: "the key is not the card's",
    0x91CA: "another command was under way",
    0x91DE: "it exists already",
    0x91EE: "the card's memory failed",
    0x910E: "the card's memory is full",
    0x911C: "the card does not know this command",
}


class Ev2Error(Exception):
    """The card refused; `status` is what it answered, 0 if it was not answered as a genuine card does."""

    def __init__(self, what: str, status: int = 0) -> None:
        self.status = status
        reason = f": {_REASONS.get(status, 'refused')} (status {status:04X})" if status else ""
        super().__init__(f"{what}{reason}")


class WrongKey(Ev2Error):
    """The authentication failed: this is not the key."""


def wrap(command: int, data: bytes = b"") -> bytes:
    """A native command in its ISO 7816-4 frame."""
    body = bytes((len(data),)) + data if data else b""
    return bytes((0x90, command, 0, 0)) + body + b"\x00"


def status_of(answer: bytes) -> tuple[int, bytes]:
    """Take an answer apart: status word and data."""
    if len(answer) < 2:
        raise Ev2Error("the card's answer is too short")
    return int.from_bytes(answer[-2:], "big"), answer[:-2]


def plain(send: Send, command: int, data: bytes = b"") -> bytes:
    """A command outside any session; returns its data.

    Raises:
        Ev2Error: any status but 9100.
    """
    status, answer = status_of(send(wrap(command, data)))
    if status != OK:
        raise Ev2Error(f"command {command:02X}", status)
    return answer


def pad(data: bytes) -> bytes:
    """ISO/IEC 9797-1 padding method 2, to whole blocks."""
    return data + b"\x80" + bytes(-(len(data) + 1) % 16)


def truncated(mac: bytes) -> bytes:
    """The 8 bytes of a MAC that go over the air: every second one, NT4H2421Gx 9.1.3."""
    return mac[1::2]


def session_keys(key: bytes, rnd_a: bytes, rnd_b: bytes) -> tuple[bytes, bytes]:
    """SesAuthENCKey and SesAuthMACKey, NT4H2421Gx 9.1.7."""
    mixed = bytes(a ^ b for a, b in zip(rnd_a[2:8], rnd_b[:6], strict=True))
    context = rnd_a[:2] + mixed + rnd_b[6:] + rnd_a[8:]
    return cmac(key, bytes.fromhex("A55A00010080") + context), cmac(key, bytes.fromhex("5AA500010080") + context)


def authenticate(send: Send, number: int, key: bytes, rnd_a: bytes | None = None) -> Session:
    """AuthenticateEV2First with key `number`; `rnd_a` is given in tests only.

    Raises:
        WrongKey: the card refused ours, or did not prove that it holds it, too.
        Ev2Error: the card did something else.
    """
    status, data = status_of(send(wrap(0x71, bytes((number, 0)))))
    if status != MORE or len(data) != 16:
        raise Ev2Error(f"authentication with key {number}", status)
    rnd_a = rnd_a or secrets.token_bytes(16)
    rnd_b = aes_cbc(key, _ZERO, data, decrypt=True)
    status, data = status_of(send(wrap(0xAF, aes_cbc(key, _ZERO, rnd_a + rnd_b[1:] + rnd_b[:1]))))
    if status == 0x91AE:
        raise WrongKey(f"authentication with key {number}", status)
    if status != OK or len(data) != 32:
        raise Ev2Error(f"authentication with key {number}", status if status != OK else 0)
    answer = aes_cbc(key, _ZERO, data, decrypt=True)
    if not secrets.compare_digest(answer[4:20], rnd_a[1:] + rnd_a[:1]):
        raise WrongKey(f"authentication with key {number}: the card accepted the key but does not hold it: a forgery")
    return Session(send, number, answer[:4], *session_keys(key, rnd_a, rnd_b))


class Session:
    """What follows an authentication: commands with a MAC, or with a MAC and encrypted."""

    def __init__(self, send: Send, number: int, ti: bytes, enc_key: bytes, mac_key: bytes, counter: int = 0) -> None:
        self._send = send
        self.number = number
        self.ti = ti
        self._enc_key = enc_key
        self._mac_key = mac_key
        self.counter = counter  # CmdCtr
        self.alive = True

    def __repr__(self) -> str:
        return f"<Session with key {self.number}, {self.counter} commands>"

    def _iv(self, label: bytes) -> bytes:
        block = label + self.ti + self.counter.to_bytes(2, "little") + bytes(8)
        return aes_cbc(self._enc_key, _ZERO, block)

    def _mac(self, first: int, rest: bytes) -> bytes:
        return truncated(cmac(self._mac_key, bytes((first,)) + self.counter.to_bytes(2, "little") + self.ti + rest))

    def encrypted(self, data: bytes) -> bytes:
        """Command data as CommMode.Full sends them."""
        return aes_cbc(self._enc_key, self._iv(b"\xa5\x5a"), pad(data)) if data else b""

    def _exchange(self, command: int, body: bytes, silent: bool) -> bytes:
        if not self.alive:
            raise Ev2Error("the session with the card is over")
        status, answer = status_of(self._send(wrap(command, body + self._mac(command, body))))
        self.counter += 1
        if status != OK:
            self.alive = False  # a card ends the session with any error
            raise Ev2Error(f"command {command:02X}", status)
        if silent and not answer:
            return b""
        data, mac = answer[:-8], answer[-8:]
        if not secrets.compare_digest(mac, self._mac(status & 0xFF, data)):
            self.alive = False
            raise Ev2Error(f"command {command:02X}: the answer is not authentic")
        return data

    def command(self, command: int, header: bytes = b"") -> bytes:
        """A command in CommMode.MAC; returns its data."""
        return self._exchange(command, header, silent=False)

    def command_full(self, command: int, header: bytes = b"", data: bytes = b"") -> bytes:
        """A command in CommMode.Full: `data` goes encrypted, what comes back is decrypted."""
        answer = self._exchange(command, header + self.encrypted(data), silent=False)
        if not answer:
            return b""
        if len(answer) % 16:
            raise Ev2Error(f"command {command:02X}: the answer has a wrong length")
        text = aes_cbc(self._enc_key, self._iv(b"\x5a\xa5"), answer, decrypt=True)
        data, mark, rest = text.rpartition(b"\x80")
        if not mark or rest.strip(b"\x00"):
            raise Ev2Error(f"command {command:02X}: the answer is not padded")
        return data

    def change_key(self, number: int, new: bytes, version: int, old: bytes | None = None) -> None:
        """ChangeKey, NT4H2421Gx 10.6.1. `old` is needed for any key but the session's own, which ends the session."""
        if number == self.number:
            body = bytes((number,)) + self.encrypted(new + bytes((version,)))
            self._exchange(0xC4, body, silent=True)
            self.alive = False
            return
        if old is None:
            raise ValueError("the old key is needed to change one that is not the session's own")
        mixed = bytes(a ^ b for a, b in zip(new, old, strict=True))
        # CRC32NK: without the final inversion of zlib's, low byte first
        check = (zlib.crc32(new) ^ 0xFFFFFFFF).to_bytes(4, "little")
        body = bytes((number,)) + self.encrypted(mixed + bytes((version,)) + check)
        self._exchange(0xC4, body, silent=False)

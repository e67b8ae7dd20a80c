"""The desk: a door board in desk mode at the other end of a serial port (firmware/desk.py).

    with SerialDesk.open("/dev/ttyUSB0") as desk:     # or rfc2217://HOST:PORT, socket://HOST:PORT
        card = desk.card(10)                          # waits for one card, seconds
        desk.apdu(bytes.fromhex("905A00000300000000"))

One request a line, one answer a line. What else the board prints is skipped. Requests carry keys and APDUs, so no line
is ever logged or put into an error.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import serial

from menwei.cardwriter import Card, CardError, CardGone

BAUD = 115200
PROTOCOL = "1"
_ANSWER_S = 5.0  # a card takes half a second at most
_HELLO_S = 3.0
_HELLO_TRIES = 3
_PAUSE_S = 0.1
_LINE_MAX = 400

_GONE = "the card does not answer any more; put it back, hold it still, and run the same command again"
_SENTENCES = {
    "nocard": "no card is on the reader; put one on it and run the command again",
    "several": "more than one card is on the reader; leave one",
    "fault": "the reader chip of the desk does not answer; check its wiring, then restart the board",
    "damaged": "a line to the desk was damaged, nothing was written; check the cable, and run the same command again",
    "denied": "the card does not allow this; its access bits are not ours",
    "unsafe": "the desk refused to write this: it would lock the card",
}


class DeskError(Exception):
    """The desk cannot be worked; the message says what to do."""


class SerialDesk:
    """Requests to the desk, each answered before the next one.

    Raises, in all of its methods:
        CardGone: the card left, or is out of reach.
        CardError: no card, several cards, or one that refuses.
        DeskError: the port or the board.
    """

    def __init__(self, port: serial.SerialBase, url: str, notice: Callable[[str], None] | None = None) -> None:
        self._port = port
        self._url = url
        self._notice = notice or (lambda _text: None)
        self.board = ""
        self.version = ""

    @classmethod
    def open(cls, url: str) -> SerialDesk:
        """Open the port and make sure that a desk answers."""
        try:
            port = serial.serial_for_url(url, baudrate=BAUD, timeout=_PAUSE_S, do_not_open=True)
            if "://" not in url:
                # Two programs at once would mix their lines; and RTS and DTR reset an ESP32 board.
                port.exclusive = True
                port.dtr = port.rts = False
            port.open()
        except (serial.SerialException, OSError, ValueError) as error:
            raise DeskError(_port_trouble(url, error)) from None
        desk = cls(port, url)
        try:
            desk._greet()
        except BaseException:
            port.close()
            raise
        return desk

    def __enter__(self) -> SerialDesk:
        return self

    def __exit__(self, *_exception) -> None:
        self.close()

    def close(self) -> None:
        """Leave the desk as it is, for the next command."""
        self._port.close()

    # Lines

    def _greet(self) -> None:
        for _ in range(_HELLO_TRIES):
            self._send("")  # ends whatever half a line lies there
            time.sleep(_PAUSE_S)
            self._drain()
            self._send("hello")
            words = (self._line(_HELLO_S) or "").split()
            if words[:3] == ["ok", "menwei", "desk"] and len(words) >= 6:
                if words[3] != PROTOCOL:
                    raise DeskError(
                        f"the desk speaks protocol {words[3]}, this menwei speaks {PROTOCOL}; update the older one"
                    )
                self.board, self.version = words[4], words[5]
                time.sleep(_PAUSE_S)
                self._drain()  # of a slow board the answers to earlier tries
                return
        raise DeskError(
            f'what is at {self._url} does not answer as a desk; is it a board with the setting "desk" on, '
            "and is no other program using the port?"
        )

    def _drain(self) -> None:
        try:
            while self._port.in_waiting:
                self._port.read(self._port.in_waiting)
        except (serial.SerialException, OSError):
            raise DeskError(self._lost()) from None

    def _lost(self) -> str:
        return f"the connection to the desk at {self._url} broke off; plug it in again and run the same command again"

    def _send(self, request: str) -> None:
        try:
            self._port.write(request.encode() + b"\n")
            self._port.flush()
        except (serial.SerialException, OSError):
            raise DeskError(self._lost()) from None

    def _line(self, timeout_s: float) -> str | None:
        """The next line that is an answer; None when the time is over."""
        deadline = time.monotonic() + timeout_s
        line = b""
        while time.monotonic() < deadline:
            try:
                piece = self._port.read_until(b"\n", _LINE_MAX)
            except (serial.SerialException, OSError):
                raise DeskError(self._lost()) from None
            line += piece
            if line.endswith(b"\n") or len(line) >= _LINE_MAX:
                text = line.decode("ascii", "replace").strip()
                line = b""
                if text.split(" ", 1)[0] in ("ok", "error"):
                    return text
        return None

    def _ask(self, request: str, wait_s: float = 0) -> str:
        """Send a request; returns what follows `ok`."""
        self._send(request)
        answer = self._line(wait_s + _ANSWER_S)
        if answer is None:
            raise DeskError(f"the desk at {self._url} did not answer in time; restart the board")
        if answer.startswith("ok"):
            return answer[3:]
        code = answer.removeprefix("error ").partition(":")[0]
        if code == "gone":
            raise CardGone(_GONE)
        if code in ("fault", "damaged"):
            raise DeskError(_SENTENCES[code])
        if code in _SENTENCES:
            raise CardError(_SENTENCES[code])
        if code == "refused":
            raise _Refused
        raise DeskError(f"the desk did not understand menwei: {answer[:80]}")

    def _bytes(self, text: str, length: int | None = None) -> bytes:
        try:
            data = bytes.fromhex(text)
        except ValueError:
            data = b""
        if not data or (length is not None and len(data) != length):
            raise DeskError(f"the answer of the desk at {self._url} was garbled; run the same command again")
        return data

    # Cards

    def card(self, wait_s: float = 10) -> Card:
        """Wait for one card.

        Raises:
            CardError: none came, or more than one.
        """
        answer = self._ask(f"card {int(wait_s * 1000)}", wait_s)
        try:
            found = dict(word.split("=", 1) for word in answer.split())
            uid, sak, atqa, magic = found["uid"], int(found["sak"], 16), int(found["atqa"], 16), found["magic"] == "1"
        except (ValueError, KeyError):
            raise DeskError(f"the answer of the desk at {self._url} was garbled; run the same command again") from None
        return Card(self._bytes(uid), sak, atqa, magic)

    def apdu(self, command: bytes) -> bytes:
        """ISO 7816-4 exchange: command to answer with its status word."""
        return self._bytes(self._ask(f"apdu {command.hex()}"))

    def auth(self, letter: str, block: int, key: bytes) -> bool:
        """MIFARE Classic authentication with key A or B; False: it is not the key."""
        try:
            self._ask(f"auth {letter} {block} {key.hex()}")
            return True
        except _Refused:
            return False

    def read(self, block: int) -> bytes:
        """16 bytes of the sector that was authenticated."""
        return self._bytes(self._ask(f"read {block}"), 16)

    def write(self, block: int, data: bytes) -> None:
        """Write 16 bytes."""
        self._ask(f"write {block} {data.hex()} {_check(data + bytes((block,))):04x}")

    def field(self) -> None:
        """Switch the field off and on."""
        self._ask("field")


def _check(data: bytes) -> int:
    """CRC_A of ISO/IEC 14443-3 annex B, which the desk has at hand."""
    crc = 0x6363
    for byte in data:
        mixed = (byte ^ crc) & 0xFF
        mixed = (mixed ^ mixed << 4) & 0xFF
        crc = crc >> 8 ^ mixed << 8 ^ mixed << 3 ^ mixed >> 4
    return crc


class _Refused(Exception):
    """The card did not take a key."""


def _port_trouble(url: str, error: Exception) -> str:
    text = str(error).lower()
    if "could not exclusively lock" in text or "busy" in text or "resource temporarily" in text:
        return f"{url} is in use by another program; end that one first"
    if "permission" in text:
        return f"you may not use {url}; on Linux: sudo usermod -aG dialout $USER, then log in again"
    if "refused" in text or "timed out" in text or "name or service" in text:
        return f"nobody listens at {url}; start the port server, or check host and port"
    if "no such file" in text or "filenotfound" in text or "cannot find" in text:
        return (
            f"there is no port {url}; plug the board in, and look for its name with: python -m serial.tools.list_ports"
        )
    return f"{url} cannot be opened ({type(error).__name__}); it is a device, rfc2217://HOST:PORT or socket://HOST:PORT"

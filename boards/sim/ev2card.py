"""Cards with AES keys and EV2 secure messaging: what NTAG 424 DNA and DESFire EV2 have in common.

Written from the NTAG 424 DNA data sheet (NT4H2421Gx, rev. 3.0: 9.1 secure messaging, 10 commands) and NXP's AN12196
and AN12343. Commands come wrapped as ISO/IEC 7816-4 APDUs: 90 INS 00 00 Lc data 00; the answer ends in 91 and a status.
"""

from random import getrandbits

from micropython import const

from boards.sim.ev2 import Session, crc32_nk, decrypt, encrypt, pad, session_keys, unpad, xor
from boards.sim.isocard import IsoCard

# Status, the second byte after 91
OK = 0x00
INTEGRITY_ERROR = 0x1E
ILLEGAL_COMMAND = 0x1C
NO_SUCH_KEY = 0x40
LENGTH_ERROR = 0x7E
PERMISSION_DENIED = 0x9D
PARAMETER_ERROR = 0x9E
AUTHENTICATION_ERROR = 0xAE
MORE = 0xAF
COMMAND_ABORTED = 0xCA

# Communication modes
PLAIN = 0
MAC = 1
FULL = 2

_AUTH_FIRST = const(0x71)
_AUTH_NEXT = const(0x77)
_AF = const(0xAF)
_GET_VERSION = const(0x60)
_GET_KEY_VERSION = const(0x64)
_GET_UID = const(0x51)
_CHANGE_KEY = const(0xC4)
_COUNTER_MAX = const(0xFFFF)


def random_bytes(count):
    """Return so many bytes of the seeded generator."""
    return bytes(getrandbits(8) for _ in range(count))


class Key:
    """One AES key and its version."""

    def __init__(self, value=bytes(16), version=0):
        self.value = value
        self.version = version


class Ev2Card(IsoCard):
    """The common commands. A subclass gives `keys`, `version_frames`, `command` and `may_change_key`."""

    def __init__(self, uid, ats, random=random_bytes, **card):
        self.real_uid = bytes(uid)
        self.random = random  # takes a number of bytes: a test can replay RndB and TI
        self.keys = []  # of what is selected
        self._tears = 0
        self._torn = False
        self._lost = False
        super().__init__(uid, ats, **card)

    def tear(self, writes=1, done=False):
        """Let the power fail at the `writes`-th write of a key, setting or application from now.

        With `done` the new value is there afterwards, else the old one. The card is silent until it enters a field.
        """
        self._tears = writes
        self._torn = done

    def commit(self):
        """Tell whether the write that is due takes place."""
        if self._tears:
            self._tears -= 1
            if not self._tears:
                self._lost = True
                return self._torn
        return True

    def leave(self):
        """Forget session and selection."""
        self._pending = 0  # the command that AF goes on with
        self.session = None
        self.select_nothing()

    def select_nothing(self):
        """Select what is selected after activation."""

    # ISO/IEC 7816-4

    def apdu(self, command):
        """Take a command; None if the power failed in it."""
        self._lost = False
        answer = self._apdu(command)
        return None if self._lost else answer

    def _apdu(self, command):
        if len(command) < 4:
            return b"\x67\x00"
        if command[0] == 0:
            return self.iso(command[1], command[2], command[3], command[4:])
        if command[0] != 0x90:
            return b"\x6e\x00"
        data = b""
        if len(command) > 5:
            if len(command) != command[4] + 6:
                return b"\x67\x00"
            data = command[5:-1]
        if command[2] or command[3]:
            return b"\x6a\x86"
        answer, status = self._dispatch(command[1], data)
        if status not in (OK, MORE):
            # An error ends the authentication (9.1.1); none is left open to go on with.
            self.session = None
            self._pending = 0
        return answer + bytes((0x91, status))

    def iso(self, code, first, second, rest):
        """Take a command of class 00: instruction, P1, P2 and what follows; return the whole answer."""
        return b"\x6d\x00"

    def _dispatch(self, code, data):
        pending = self._pending
        self._pending = 0
        if code == _AF:
            if pending in (_AUTH_FIRST, _AUTH_NEXT):
                return self._authenticated(pending, data)
            if pending == _GET_VERSION:
                return self._next_version(data)
            return b"", ILLEGAL_COMMAND
        if pending:
            return b"", COMMAND_ABORTED
        if code in (_AUTH_FIRST, _AUTH_NEXT):
            return self._authenticate(code, data)
        if code == _GET_VERSION:
            opened = self.open(code, 0, MAC, data)
            if isinstance(opened, int):
                return b"", opened
            self._frame = 0
            return self._next_version(b"")
        if code == _GET_KEY_VERSION:
            return self._key_version(data)
        if code == _GET_UID:
            opened = self.open(code, 0, FULL, data, True)
            return (b"", opened) if isinstance(opened, int) else (self.close(self.real_uid, FULL), OK)
        if code == _CHANGE_KEY:
            return self._change_key(data)
        return self.command(code, data)

    def command(self, code, data):
        """Take a command that only one kind of card has; return its data and its status."""
        return b"", ILLEGAL_COMMAND

    # Secure messaging

    def open(self, code, header, mode, data, needed=False):
        """Check and decrypt a command of `header` bytes in plain and data behind: its plain text, or a status.

        Without a session it is plain, or refused if one is `needed`.
        """
        session = self.session
        if session is None:
            return AUTHENTICATION_ERROR if needed else data
        if mode == PLAIN:
            return data
        size = len(data) - 8
        if size < header or (mode == FULL and (size - header) % 16):
            return LENGTH_ERROR
        body = data[:size]
        if session.tag(code, body) != data[size:]:
            return INTEGRITY_ERROR
        if mode == FULL and size > header:
            plain = unpad(decrypt(session.enc, body[header:], session.iv(False)))
            return INTEGRITY_ERROR if plain is None else body[:header] + plain
        return body

    def close(self, data=b"", mode=MAC, hidden=None):
        """Encrypt and authenticate the answer to a command that was done; the counter goes on.

        `hidden` is what the MAC covers as well, because earlier frames carried it.
        """
        session = self.session
        if session is None:
            return data
        session.counter += 1
        if session.counter > _COUNTER_MAX:
            self.session = None
            return data
        if mode == PLAIN:
            return data
        if mode == FULL and data:
            data = encrypt(session.enc, pad(data), session.iv(True))
        return data + session.tag(OK, (hidden or b"") + data)

    # Commands

    def _authenticate(self, code, data):
        if not data or (code == _AUTH_FIRST and (len(data) < 2 or len(data) != 2 + data[1] or data[1] > 6)):
            return b"", LENGTH_ERROR
        if code == _AUTH_NEXT and len(data) != 1:
            return b"", LENGTH_ERROR
        number = data[0] & 0x3F
        if number >= len(self.keys):
            return b"", NO_SUCH_KEY
        if code == _AUTH_NEXT and self.session is None:
            return b"", PERMISSION_DENIED
        if code == _AUTH_FIRST:
            self.session = None
        status = self.may_authenticate(number)
        if status:
            return b"", status
        self._capabilities = (data[2:] + bytes(6))[:6]
        self._key_number = number
        self._challenge = self.random(16)
        self._pending = code
        return encrypt(self.keys[number].value, self._challenge), MORE

    def may_authenticate(self, number):
        """Return a status that forbids an authentication with this key, or OK."""
        return OK

    def authenticated(self, number, success):
        """Take note of how an authentication ended."""

    def _authenticated(self, code, data):
        before = self.session
        self.session = None
        if len(data) != 32:
            return b"", LENGTH_ERROR
        number = self._key_number
        key = self.keys[number].value
        plain = decrypt(key, data)
        rnd_a = plain[:16]
        rnd_b = self._challenge
        if plain[16:] != rnd_b[1:] + rnd_b[:1]:
            self.authenticated(number, False)
            return b"", AUTHENTICATION_ERROR
        self.authenticated(number, True)
        answer = rnd_a[1:] + rnd_a[:1]
        keys = session_keys(key, rnd_a, rnd_b)
        if code == _AUTH_FIRST:
            self.session = Session(number, keys, self.random(4))
            answer = self.session.identifier + answer + bytes(6) + self._capabilities
        else:
            self.session = Session(number, keys, before.identifier, before.counter)
        return encrypt(key, answer), OK

    def _next_version(self, data):
        if data:
            return b"", LENGTH_ERROR
        frames = self.version_frames()
        frame = frames[self._frame]
        self._frame += 1
        if self._frame < len(frames):
            self._pending = _GET_VERSION
            return frame, MORE
        return self.close(frame, MAC, b"".join(frames[:-1])), OK

    def _key_version(self, data):
        opened = self.open(_GET_KEY_VERSION, 1, MAC, data)
        if isinstance(opened, int):
            return b"", opened
        if len(opened) != 1:
            return b"", LENGTH_ERROR
        if opened[0] & 0x3F >= len(self.keys):
            return b"", NO_SUCH_KEY
        return self.close(bytes((self.keys[opened[0] & 0x3F].version,))), OK

    def _change_key(self, data):
        if not data:
            return b"", LENGTH_ERROR
        number = data[0] & 0x3F
        if number >= len(self.keys):
            return b"", NO_SUCH_KEY
        session = self.session
        if session is None or not self.may_change_key(session.number, number):
            return b"", AUTHENTICATION_ERROR
        opened = self.open(_CHANGE_KEY, 1, FULL, data, True)
        if isinstance(opened, int):
            return b"", opened
        own = number == session.number
        if len(opened) != (18 if own else 22):
            return b"", LENGTH_ERROR
        value = opened[1:17]
        key = self.keys[number]
        if not own:
            value = xor(value, key.value)
            if crc32_nk(value) != opened[18:]:
                return b"", INTEGRITY_ERROR
        if self.commit():
            key.value = value
            key.version = opened[17]
            self.changed_key(number)
        if own:
            self.session = None  # its key is gone, so there is no MAC either (10.6.1)
            return b"", OK
        return self.close(), OK

    def may_change_key(self, own, number):
        """Tell whether key `own`, with which the reader authenticated, may change key `number`."""
        return own == 0

    def changed_key(self, number):
        """Take note that a key is another one now."""

    def version_frames(self):
        """Return the three parts of the answer to GetVersion."""
        return (b"", b"", self.real_uid)

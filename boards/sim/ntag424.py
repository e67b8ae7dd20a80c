"""NTAG 424 DNA, from its data sheet (NT4H2421Gx, rev. 3.0; sections in brackets).

    card = Ntag424(b"\\x04\\x95\\x8c\\xaa\\x5c\\x5e\\x80")
    card.set_key(1, key, version=3)
    field.put(card)

Modelled: the AES mode with its five keys, EV2 secure messaging, ChangeKey, the counters of failed authentications,
the three files with their factory access rights, Random ID. Not modelled: LRP mode, Secure Dynamic Messaging,
ChangeFileSettings, ISOUpdateBinary, chained WriteData, the originality keys and signature, the tamper variant; how
long the chip takes for a command is not published (`busy_us`).
"""

from binascii import hexlify, unhexlify

from micropython import const

from boards.sim.cards import Card
from boards.sim.ev2card import (
    AUTHENTICATION_ERROR,
    FULL,
    ILLEGAL_COMMAND,
    LENGTH_ERROR,
    MAC,
    OK,
    PARAMETER_ERROR,
    PERMISSION_DENIED,
    PLAIN,
    Ev2Card,
    Key,
    random_bytes,
)
from boards.sim.isocard import ATS_NTAG424

AUTHENTICATION_DELAY = 0xAD
BOUNDARY_ERROR = 0xBE
FILE_NOT_FOUND = 0xF0

NAME = b"\xd2\x76\x00\x00\x85\x01\x01"  # of the only application (8.2.1)

_KEYS = const(5)
_FREE = const(0x0E)
_SET_CONFIGURATION = const(0x5C)
_READ_DATA = const(0xAD)
_WRITE_DATA = const(0x8D)
_GET_FILE_SETTINGS = const(0xF5)
_SELECT = const(0xA4)
_READ_BINARY = const(0xB0)
_SEQUENCE_LIMIT = const(50)  # failures in a row after which the card delays (AN12196 6.4)
_TOTAL_LIMIT = const(1000)  # failures in all that lock a key (table 50)
_TOTAL_STEP = const(10)  # what a success takes off

# The capability container as delivered: NDEF file E104 of 256 bytes, proprietary file E105 of 128 bytes (8.2.3.1)
_CONTAINER = b"\x00\x17\x20\x01\x00\x00\xff\x04\x06\xe1\x04\x01\x00\x00\x00\x05\x06\xe1\x05\x00\x80\x82\x83" + bytes(9)


class File:
    """A StandardData file; access rights are key numbers, 14 free, 15 never."""

    def __init__(self, identifier, data, mode, read, write, both, change):
        self.identifier = identifier
        self.data = data
        self.mode = mode
        self.read = read
        self.write = write
        self.both = both
        self.change = change


class Ntag424(Ev2Card):
    """One NTAG 424 DNA; keys are zeros of version 0 as delivered.

    `delays` is how many times in a row the card answers "not yet" once it has begun to delay.
    """

    def __init__(self, uid, random_id=False, delays=1, **card):
        if len(uid) != 7:
            raise ValueError("an NTAG 424 DNA has a UID of 7 bytes")
        self.random_id = random_id
        self.app_keys = [Key() for _ in range(_KEYS)]
        self.failed = bytearray(_KEYS)  # SeqFailCtr
        self.failed_total = [0] * _KEYS  # TotFailCtr
        self.delays = delays
        self._delayed = 0
        self.files = {
            1: File(0xE103, bytearray(_CONTAINER), PLAIN, _FREE, 0, 0, 0),
            2: File(0xE104, bytearray(256), PLAIN, _FREE, _FREE, _FREE, 0),
            3: File(0xE105, bytearray(128), FULL, 2, 3, 3, 0),
        }
        self._file = None
        # With Random ID a UID of single size and the ATQA that belongs to it (8.1.1)
        super().__init__(uid, ATS_NTAG424, atqa=b"\x44\x03", **card)

    def set_key(self, number, value, version=0):
        """Put a key there as a personalisation would."""
        self.app_keys[number].value = bytes(value)
        self.app_keys[number].version = version

    # States

    def power(self, on):
        """Enter or leave a field; with Random ID under another UID each time."""
        if self.random_id:
            self.uid = uid = b"\x08" + self.random(3)
            self._levels = [uid + bytes((uid[0] ^ uid[1] ^ uid[2] ^ uid[3],))]
            self.atqa = b"\x04\x03"
        super().power(on)

    def select_nothing(self):
        """Select the PICC level."""
        self.keys = ()
        self._file = None

    # ISO/IEC 7816-4 commands (10.9)

    def iso(self, code, first, second, rest):
        """Take ISOSelectFile or ISOReadBinary."""
        self._pending = 0
        if code == _SELECT:
            return self._iso_select(first, second, rest)
        if code == _READ_BINARY:
            return self._iso_read(first, second, rest)
        return b"\x6d\x00"

    def _iso_select(self, first, second, rest):
        if not rest or not rest[0] or len(rest) not in (rest[0] + 1, rest[0] + 2):
            return b"\x67\x00"
        name = rest[1 : 1 + rest[0]]
        if first not in (0, 2, 4) or second not in (0x00, 0x0C):
            return b"\x6a\x86"
        if name in ((NAME, b"\xe1\x10"), (NAME,))[first == 4]:
            self.session = None
            self.keys = self.app_keys
            self._file = None
            return b"\x90\x00"
        if name == b"\x3f\x00" and not first:
            self.session = None
            self.select_nothing()
            return b"\x90\x00"
        if first != 4 and self.keys:
            for file in self.files.values():
                if name == file.identifier.to_bytes(2, "big"):
                    self._file = file
                    return b"\x90\x00"
        return b"\x6a\x82"

    def _iso_read(self, first, second, rest):
        if len(rest) != 1:
            return b"\x67\x00"
        file = self._file
        if file is None:
            return b"\x69\x85"
        # Free access only: there is no secure messaging in class 00.
        if file.mode != PLAIN or _FREE not in (file.read, file.both):
            return b"\x69\x82"
        start = first << 8 | second
        if first & 0x80 or start >= len(file.data):
            return b"\x6a\x86"
        return bytes(file.data[start : start + (rest[0] or 256)]) + b"\x90\x00"

    # Native commands

    def version_frames(self):
        """Return the three parts of the answer to GetVersion (10.5.2)."""
        shown = bytes(7) if self.random_id else self.real_uid
        return (
            b"\x04\x04\x02\x30\x00\x11\x05",
            b"\x04\x04\x02\x01\x02\x11\x05",
            shown + b"\xcf\x0c\xd1\x65\x30\x47\x19",
        )

    def may_authenticate(self, number):
        """Refuse a locked key, and for a while any after many failures in a row."""
        if self.failed_total[number] >= _TOTAL_LIMIT:
            return PERMISSION_DENIED
        if self._delayed:
            self._delayed -= 1
            return AUTHENTICATION_DELAY
        return OK

    def authenticated(self, number, success):
        """Count failures (AN12196 6.4)."""
        if success:
            self.failed[number] = 0
            self.failed_total[number] = max(0, self.failed_total[number] - _TOTAL_STEP)
            return
        self.failed[number] = min(255, self.failed[number] + 1)
        self.failed_total[number] += 1
        if self.failed[number] >= _SEQUENCE_LIMIT:
            self._delayed = self.delays

    def changed_key(self, number):
        """Start the counters of a new key again."""
        self.failed[number] = 0
        self.failed_total[number] = 0

    def command(self, code, data):
        """Take a command for files or the configuration."""
        if code not in (_READ_DATA, _WRITE_DATA, _GET_FILE_SETTINGS, _SET_CONFIGURATION):
            return b"", ILLEGAL_COMMAND
        if not self.keys:
            return b"", PERMISSION_DENIED
        if not data:
            return b"", LENGTH_ERROR
        if code == _SET_CONFIGURATION:
            return self._set_configuration(data)
        file = self.files.get(data[0])
        if file is None:
            return b"", FILE_NOT_FOUND
        if code == _GET_FILE_SETTINGS:
            opened = self.open(code, 1, MAC, data)
            if isinstance(opened, int):
                return b"", opened
            if len(opened) != 1:
                return b"", LENGTH_ERROR
            rights = bytes((file.both << 4 | file.change, file.read << 4 | file.write))
            return self.close(b"\x00" + bytes((file.mode + (file.mode == FULL),)) + rights + _three(len(file.data))), OK
        return self._access(code, file, data)

    def _access(self, code, file, data):
        wanted = (file.read if code == _READ_DATA else file.write, file.both)
        session = self.session
        if session is None or session.number not in wanted:
            if _FREE not in wanted:
                return b"", AUTHENTICATION_ERROR
            mode = PLAIN  # free access is plain, whatever the file says (8.2.3.5)
        else:
            mode = file.mode
        # Of a FULL ReadData only the answer is encrypted: the command has a header and no data.
        opened = self.open(code, 7, mode, data)
        if isinstance(opened, int):
            return b"", opened
        if len(opened) < 7:
            return b"", LENGTH_ERROR
        start = int.from_bytes(opened[1:4], "little")
        count = int.from_bytes(opened[4:7], "little")
        if code == _READ_DATA:
            if len(opened) != 7:
                return b"", LENGTH_ERROR
            count = count or len(file.data) - start
            if start >= len(file.data) or start + count > len(file.data):
                return b"", BOUNDARY_ERROR
            return self.close(bytes(file.data[start : start + count]), mode), OK
        if len(opened) != 7 + count or not count:
            return b"", LENGTH_ERROR
        if start + count > len(file.data):
            return b"", BOUNDARY_ERROR
        if self.commit():
            file.data[start : start + count] = opened[7:]
        return self.close(b"", mode), OK

    def _set_configuration(self, data):
        session = self.session
        if session is None or session.number:
            return b"", AUTHENTICATION_ERROR
        opened = self.open(_SET_CONFIGURATION, 1, FULL, data, True)
        if isinstance(opened, int):
            return b"", opened
        if opened[0]:
            return b"", PARAMETER_ERROR  # options 04, 05, 0A and 0B are not modelled
        if len(opened) != 2:
            return b"", LENGTH_ERROR
        if opened[1] & 0xFD:
            return b"", PARAMETER_ERROR
        if opened[1] and self.commit():
            self.random_id = True  # from the next time in a field, and for ever
        return self.close(), OK

    # Carried between processes

    def to_dict(self):
        """Return what the card keeps without power, fit for JSON."""
        return {
            "kind": "ntag424",
            "uid": hexlify(self.real_uid).decode(),
            "random_id": self.random_id,
            "keys": [[hexlify(key.value).decode(), key.version] for key in self.app_keys],
            "failed": list(self.failed),
            "failed_total": list(self.failed_total),
            "files": {str(number): hexlify(file.data).decode() for number, file in self.files.items()},
        }

    @classmethod
    def from_dict(cls, kept, **card):
        """Make the card that to_dict() described; what is missing is as delivered."""
        made = cls(unhexlify(kept["uid"]), random_id=kept.get("random_id", False), **card)
        for number, (value, version) in enumerate(kept.get("keys", ())):
            made.set_key(number, unhexlify(value), version)
        made.failed[:] = bytes(kept.get("failed", bytes(_KEYS)))
        made.failed_total = list(kept.get("failed_total", [0] * _KEYS))
        for number, data in kept.get("files", {}).items():
            made.files[int(number)].data[:] = unhexlify(data)
        return made

    def uid_copy(self):
        """Return what a kiosk makes of this card: its UID on a card without anything else."""
        return Card(self.uid)

    def clone_without_keys(self, random=random_bytes):
        """Return an emulator that answers every command as this card does, and has had to invent the keys."""
        copy = self.from_dict(self.to_dict(), random=random)
        for key in copy.app_keys:
            key.value = random_bytes(16)
        return copy


def _three(value):
    return value.to_bytes(3, "little")

"""MIFARE DESFire EV2 and EV3, as much of it as an access card needs: applications, AES keys, EV2 secure messaging.

    card = Desfire(b"\\x04\\x95\\x91\\x0a\\x5d\\x6d\\x80")
    application = card.add_application(b"\\x57\\x4d\\xf5", 2)
    application.keys[1].value = key

The full data sheet is not public. Sources: the short ones (MF3DX2_SDS, MF3DHX3_SDS), that of the first DESFire
(MF3ICD40) for key settings, AN12343 for secure messaging, and traces of cards. Not modelled: files, the older
authentications (0A, 1A, AA) and with them the PICC master key as delivered, which is DES: `picc_key` gives the card an
AES one; ISO names of applications, virtual cards, key sets, delegated applications.
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
    NO_SUCH_KEY,
    OK,
    PARAMETER_ERROR,
    PERMISSION_DENIED,
    Ev2Card,
    Key,
    random_bytes,
)
from boards.sim.isocard import ATS_DESFIRE

APPLICATION_NOT_FOUND = 0xA0
COUNT_ERROR = 0xCE
DUPLICATE_ERROR = 0xDE

EV2 = 0x12  # hardware major version in GetVersion
EV3 = 0x33

_PICC = b"\x00\x00\x00"
_PICC_NAME = b"\xd2\x76\x00\x00\x85\x01\x00"
_SELECT_APPLICATION = const(0x5A)
_CREATE_APPLICATION = const(0xCA)
_DELETE_APPLICATION = const(0xDA)
_GET_APPLICATIONS = const(0x6A)
_GET_KEY_SETTINGS = const(0x45)
_CHANGE_KEY_SETTINGS = const(0x54)
_FORMAT = const(0xFC)
_ISO_SELECT = const(0xA4)
_AES = const(0x80)  # in the second byte of key settings: what kind of keys an application has
_KEYS_MAX = const(14)
_APPLICATIONS_MAX = const(19)  # as many identifiers as one frame of answer holds; cards have room for more

# First byte of the key settings, MF3ICD40 4.3.2
_MASTER_CHANGEABLE = const(1)
_FREE_LIST = const(2)
_FREE_CREATE = const(4)
_SETTINGS_CHANGEABLE = const(8)
_SAME_KEY = const(14)  # in the upper half: a key is changed by itself
_FROZEN = const(15)  # none but the master key can be changed


class Application:
    """One application, or the PICC level: identifier as sent in SelectApplication, settings, keys."""

    def __init__(self, identifier, settings, keys):
        self.identifier = bytes(identifier)
        self.settings = settings
        self.keys = [Key() for _ in range(keys)]


class Desfire(Ev2Card):
    """One DESFire EV2 or EV3, with the key settings of delivery: everybody may create applications."""

    def __init__(self, uid, picc_key=None, generation=EV3, **card):
        if len(uid) != 7:
            raise ValueError("a DESFire has a UID of 7 bytes")
        self.generation = generation
        self.picc = Application(_PICC, 0x0F, 1 if picc_key else 0)
        if picc_key:
            self.picc.keys[0].value = bytes(picc_key)
        self.applications = []
        super().__init__(uid, ATS_DESFIRE, atqa=b"\x44\x03", **card)

    def add_application(self, identifier, keys, settings=0x0F):
        """Put an application there as a personalisation would; return it."""
        application = Application(identifier, settings, keys)
        self.applications.append(application)
        return application

    def find(self, identifier):
        """Return the application with this identifier, or None."""
        if identifier == _PICC:
            return self.picc
        for application in self.applications:
            if application.identifier == identifier:
                return application
        return None

    def select_nothing(self):
        """Select the PICC level."""
        self._choose(self.picc)

    def _choose(self, application):
        self.selected = application
        self.keys = application.keys
        self.session = None

    # Commands

    def iso(self, code, first, second, rest):
        """Take ISOSelectFile of the PICC level; the rest of class 00 is not modelled."""
        self._pending = 0
        if code != _ISO_SELECT:
            return b"\x6d\x00"
        if not rest or len(rest) not in (rest[0] + 1, rest[0] + 2):
            return b"\x67\x00"
        if first == 4 and rest[1 : 1 + rest[0]] == _PICC_NAME:
            self.select_nothing()
            return b"\x90\x00"
        return b"\x6a\x82"

    def version_frames(self):
        """Return the three parts of the answer to GetVersion; 8 KB, as recorded from an EV3."""
        version = self.generation
        software = (0x02, 0x01) if version == EV2 else (0x03, 0x00)
        return (
            bytes((0x04, 0x01, 0x01, version, 0x00, 0x1A, 0x05)),
            bytes((0x04, 0x01, 0x01)) + bytes(software) + b"\x1a\x05",
            self.real_uid + b"\x99\x53\x67\x30\x30\x20\x20",
        )

    def may_change_key(self, own, number):
        """Tell whether the change-key right in the settings lets key `own` change key `number`."""
        settings = self.selected.settings
        if number == 0:
            return own == 0 and bool(settings & _MASTER_CHANGEABLE)
        right = settings >> 4
        if right == _FROZEN:
            return False
        if right == _SAME_KEY:
            return own == number
        # A key that changes the others is itself changed by the master key.
        return own == (0 if number == right else right)

    def command(self, code, data):
        """Take a command for applications and key settings."""
        if code == _SELECT_APPLICATION:
            return self._select_application(data)
        if code == _CREATE_APPLICATION:
            return self._create(data)
        if code == _DELETE_APPLICATION:
            return self._delete(data)
        if code == _GET_APPLICATIONS:
            return self._list(data)
        if code == _GET_KEY_SETTINGS:
            opened = self.open(code, 0, MAC, data)
            if isinstance(opened, int):
                return b"", opened
            kind = _AES if self.keys else 0
            return self.close(bytes((self.selected.settings, (len(self.keys) or 1) | kind))), OK
        if code == _CHANGE_KEY_SETTINGS:
            return self._change_settings(data)
        if code == _FORMAT:
            return self._format(data)
        return b"", ILLEGAL_COMMAND

    def _is_master(self, application):
        return self.selected is application and self.session is not None and self.session.number == 0

    def _select_application(self, data):
        if len(data) not in (3, 6):
            return b"", LENGTH_ERROR
        application = self.find(data[:3])
        if application is None or len(data) == 6:  # a second application is not modelled
            return b"", APPLICATION_NOT_FOUND
        self._choose(application)
        return b"", OK

    def _create(self, data):
        if self.selected is not self.picc:
            return b"", PERMISSION_DENIED
        if not self._is_master(self.picc) and not self.picc.settings & _FREE_CREATE:
            return b"", AUTHENTICATION_ERROR
        opened = self.open(_CREATE_APPLICATION, 0, MAC, data)
        if isinstance(opened, int):
            return b"", opened
        if len(opened) != 5:
            return b"", LENGTH_ERROR
        keys = opened[4] & 0x0F
        if opened[4] & 0xF0 != _AES or not 0 < keys <= _KEYS_MAX or opened[:3] == _PICC:
            return b"", PARAMETER_ERROR
        if self.find(opened[:3]) is not None:
            return b"", DUPLICATE_ERROR
        if len(self.applications) >= _APPLICATIONS_MAX:
            return b"", COUNT_ERROR
        if self.commit():
            self.add_application(opened[:3], keys, opened[3])
        return self.close(), OK

    def _delete(self, data):
        opened = self.open(_DELETE_APPLICATION, 0, MAC, data)
        if isinstance(opened, int):
            return b"", opened
        if len(opened) != 3:
            return b"", LENGTH_ERROR
        application = self.find(opened)
        if application is None or application is self.picc:
            return b"", APPLICATION_NOT_FOUND
        # Its own master key is enough while everybody may create applications (MF3ICD40 4.3.2, bit 2).
        own = self.picc.settings & _FREE_CREATE and self._is_master(application)
        if not own and not self._is_master(self.picc):
            return b"", AUTHENTICATION_ERROR
        if self.commit():
            self.applications.remove(application)
        if own:
            self.select_nothing()  # with the session, so the answer has no MAC
            return b"", OK
        return self.close(), OK

    def _list(self, data):
        if self.selected is not self.picc:
            return b"", PERMISSION_DENIED
        if not self._is_master(self.picc) and not self.picc.settings & _FREE_LIST:
            return b"", AUTHENTICATION_ERROR
        opened = self.open(_GET_APPLICATIONS, 0, MAC, data)
        if isinstance(opened, int):
            return b"", opened
        if opened:
            return b"", LENGTH_ERROR
        return self.close(b"".join(application.identifier for application in self.applications)), OK

    def _change_settings(self, data):
        if not self._is_master(self.selected):
            return b"", AUTHENTICATION_ERROR
        opened = self.open(_CHANGE_KEY_SETTINGS, 0, FULL, data, True)
        if isinstance(opened, int):
            return b"", opened
        if len(opened) != 1:
            return b"", LENGTH_ERROR
        application = self.selected
        if not application.settings & _SETTINGS_CHANGEABLE:
            return b"", PERMISSION_DENIED
        right = opened[0] >> 4
        if application is not self.picc and right < _SAME_KEY and right >= len(application.keys):
            return b"", NO_SUCH_KEY
        if self.commit():
            application.settings = opened[0]
        return self.close(), OK

    def _format(self, data):
        if not self._is_master(self.picc):
            return b"", AUTHENTICATION_ERROR
        opened = self.open(_FORMAT, 0, MAC, data)
        if isinstance(opened, int):
            return b"", opened
        if opened:
            return b"", LENGTH_ERROR
        if self.commit():
            self.applications.clear()
        return self.close(), OK

    # Carried between processes

    def to_dict(self):
        """Return what the card keeps without power, fit for JSON."""
        return {
            "kind": "desfire",
            "uid": hexlify(self.real_uid).decode(),
            "generation": self.generation,
            "picc": _kept(self.picc),
            "applications": [_kept(application) for application in self.applications],
        }

    @classmethod
    def from_dict(cls, kept, **card):
        """Make the card that to_dict() described; what is missing is as delivered."""
        made = cls(unhexlify(kept["uid"]), generation=kept.get("generation", EV3), **card)
        if "picc" in kept:
            made.picc = _restored(kept["picc"])
            made.select_nothing()
        made.applications = [_restored(application) for application in kept.get("applications", ())]
        return made

    def uid_copy(self):
        """Return what a kiosk makes of this card: its UID on a card without anything else."""
        return Card(self.uid)

    def clone_without_keys(self, random=random_bytes):
        """Return an emulator that answers every command as this card does, and has had to invent the keys."""
        copy = self.from_dict(self.to_dict(), random=random)
        for application in copy.applications + [copy.picc]:
            for key in application.keys:
                key.value = random_bytes(16)
        return copy


def _kept(application):
    return {
        "aid": hexlify(application.identifier).decode(),
        "settings": application.settings,
        "keys": [[hexlify(key.value).decode(), key.version] for key in application.keys],
    }


def _restored(kept):
    application = Application(unhexlify(kept["aid"]), kept["settings"], 0)
    application.keys = [Key(unhexlify(value), version) for value, version in kept["keys"]]
    return application

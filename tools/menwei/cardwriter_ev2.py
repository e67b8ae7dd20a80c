"""NTAG 424 DNA and DESFire: the community's read key and the application master key, both diversified.

    writer = Ev2Writer(desk, card, keys)
    writer.write()        # factory card: read key first, application master key last

The application master key (key 0) changes last: until then the card can be opened by the key that it came with, and
with it either finished or reset. ChangeKey is atomic on the card. Which version a key has is asked with GetKeyVersion,
which needs no authentication, so that no attempt is wasted: an NTAG 424 counts the failed ones and makes everybody wait
after 50 in a row (AN12196 7.4). The answer is only a hint: what counts is which key authenticates.
"""

from __future__ import annotations

from collections.abc import Iterable

from menwei import ev2host
from menwei.carddiversify import APPLICATIONS, iso_key
from menwei.cardkeys import KindKeys, door_version
from menwei.cardwriter import FACTORY, Card, CardError, Desk, Outcome, Writer
from menwei.ev2host import Ev2Error, Session, WrongKey

_SELECT_NTAG424 = bytes.fromhex("00A4040C07D276000085010100")
_NO_APPLICATION = 0x91A0
_INTEGRITY = 0x911E
_REFUSED = (0x919D, 0x91AE)
# Settings of the application: keys change under key 0, which may change itself; listing is free, files need key 0.
_KEY_SETTINGS = 0x0B
_KEYS = 0x80 | 14  # AES, key numbers 0 to 13
_ATTEMPTS = 3  # at most so many authentications may fail in one action
_MASTER = 0


class Ev2Writer(Writer):
    """Writes one card."""

    def __init__(self, desk: Desk, card: Card, keys: KindKeys) -> None:
        super().__init__()
        self._send = desk.apdu
        self._card = card
        self._keys = keys
        self._failed = 0
        self._done: list[str] = []

    # What the card is

    def _select(self, create: bool = False) -> bool:
        """Select the application; False if a DESFire card has none."""
        if self._keys.kind == "ntag424":
            answer = self._send(_SELECT_NTAG424)
            if answer[-2:] != b"\x90\x00":
                raise CardError("this is no NTAG 424 DNA: it does not know that application; is it a desfire card?")
            return True
        aid = APPLICATIONS["desfire"]
        try:
            ev2host.plain(self._send, 0x5A, aid)
            return True
        except Ev2Error as error:
            if error.status != _NO_APPLICATION:
                raise CardError(f"this is no DESFire card, or it is damaged: {error}") from error
        if not create:
            return False
        try:
            ev2host.plain(self._send, 0x5A, bytes(3))  # applications are made at the level of the card
            ev2host.plain(self._send, 0xCA, aid + bytes((_KEY_SETTINGS, _KEYS)))
            ev2host.plain(self._send, 0x5A, aid)
        except Ev2Error as error:
            if error.status in _REFUSED:
                raise CardError(
                    "the card makes no new application without its own master key; ask who issued it for a blank card"
                ) from error
            raise CardError(f"the application could not be made: {error}") from error
        self._done.append("the application was made")
        return True

    def _hint(self, number: int) -> int | None:
        """The version that the card tells without authentication, or None."""
        try:
            answer = ev2host.plain(self._send, 0x64, bytes((number,)))
        except Ev2Error:
            return None
        return answer[0] if len(answer) == 1 else None

    def _key(self, number: int, version: int) -> bytes:
        if version == FACTORY:
            return bytes(16)
        keys = self._keys
        master = keys.write_key(version) if number == _MASTER else keys.read_key(version)
        return iso_key(keys.kind, master, self._card.uid, number)

    def _candidates(self, told: int | None, first: Iterable[int] = ()) -> list[int]:
        """Versions worth trying: what the card tells, then `first`, then what is in use."""
        found: list[int] = [FACTORY] if told == FACTORY else self._keys.called(told or 0)
        for version in (*first, *self._keys.versions, FACTORY):
            if version not in found and (version == FACTORY or self._keys.known(version)):
                found.append(version)
        return found

    def _authenticate(self, number: int, candidates: list[int]) -> tuple[Session, int]:
        for version in candidates:
            if self._failed >= _ATTEMPTS:
                break
            try:
                return ev2host.authenticate(self._send, number, self._key(number, version)), version
            except WrongKey:
                self._failed += 1
        raise CardError(
            f"key {number} of the card is none of ours: it is a card of another community or issuer, or not genuine; "
            "with the key file that it was written with it can be reset"
        )

    # Actions

    def plan(self, action: str) -> list[str]:
        """What `action` would do; nothing is authenticated for it."""
        if not self._select():
            told = "the card has no application of ours yet"
        else:
            names = {_MASTER: "application master key", self._keys.number: "read key"}
            told = "; ".join(f"{name}: {self._told(self._hint(number))}" for number, name in names.items())
        number = self._keys.number
        if action == "check":
            return [told, f"keys {number} and 0 are tried, nothing is written"]
        wanted = self._named(FACTORY if action == "reset" else self._keys.current)
        return [told, f"key {number} and then key 0 become: {wanted}", "both are tried"]

    @staticmethod
    def _named(version: int) -> str:
        return f"version {version}" if version else "as from the factory"

    def _told(self, name: int | None) -> str:
        if name is None:
            return "not told"
        versions = [FACTORY] if name == FACTORY else self._keys.called(name)
        return self._named(versions[0]) if versions else f"of another office ({name})"

    def write(self) -> Outcome:
        """Bring a blank card, or one that was interrupted, to the current version.

        Raises:
            CardError: it is somebody else's card, or of an older version.
        """
        return self._move(self._keys.current, "write")

    def rekey(self) -> Outcome:
        """Bring a card of an older version to the current one."""
        return self._move(self._keys.current, "rekey")

    def reset(self) -> Outcome:
        """Put both keys back to the factory's. A DESFire card keeps the application, empty."""
        return self._move(FACTORY, "reset")

    def check(self) -> Outcome:
        """Authenticate with both keys, as a door and as the office would."""
        if not self._select():
            raise CardError("the card has no application of ours: it was not written yet")
        _, read = self._authenticate(self._keys.number, self._candidates(self._hint(self._keys.number)))
        _, master = self._authenticate(_MASTER, self._candidates(self._hint(_MASTER), (read,)))
        if read != master:
            raise CardError(
                f"the card was interrupted: its read key is {self._named(read)}, its master key {self._named(master)}; "
                "finish it with write or rekey, or reset it"
            )
        if read == FACTORY:
            raise CardError("the card is blank: write it first")
        return Outcome(read, [*self._done, f"the card proves both keys of version {read}"])

    def _move(self, wanted: int, action: str) -> Outcome:
        if not self._select(create=action == "write"):
            if action == "reset":
                return Outcome(FACTORY, ["the card has no application of ours; nothing to reset"])
            raise CardError("the card has no application of ours: write it first")
        session, master = self._authenticate(_MASTER, self._candidates(self._hint(_MASTER)))
        if action == "write" and master not in (FACTORY, wanted):
            raise CardError(f"the card is written already, with version {master}; run: menwei card rekey")
        if action == "rekey" and master == FACTORY:
            raise CardError("the card is blank, or writing it was interrupted; run: menwei card write")
        number = self._keys.number
        session = self._change(session, master, number, wanted)
        if master != wanted:
            self._changes(master)
            session.change_key(_MASTER, self._key(_MASTER, wanted), door_version(wanted))
            self._done.append("the application master key was changed")
        self._verify(wanted)
        return Outcome(wanted, self._done)

    def _change(self, session: Session, master: int, number: int, wanted: int) -> Session:
        """Change the read key; returns a session with key 0 that is still alive."""
        told = self._version(session, number)
        for version in self._candidates(told, (FACTORY, master)):
            if version == wanted and told == door_version(wanted):
                if self._holds(number, wanted):
                    return self._again(master)
                self._failed += 1
                session = self._again(master)
                continue  # the version byte is right and the key is not: it is changed after all
            self._changes(master)
            try:
                session.change_key(number, self._key(number, wanted), door_version(wanted), self._key(number, version))
                self._done.append("the read key was changed")
                return session
            except Ev2Error as error:
                # A wrong old key: the card finds out by the check value, changes nothing and counts nothing.
                if error.status != _INTEGRITY:
                    raise CardError(f"the read key could not be changed: {error}") from error
            session = self._again(master)
        raise CardError(f"key {number} of the card is none of ours, so it cannot be changed; take another card")

    def _version(self, session: Session, number: int) -> int | None:
        answer = session.command(0x64, bytes((number,)))
        return answer[0] if len(answer) == 1 else None

    def _holds(self, number: int, version: int) -> bool:
        try:
            ev2host.authenticate(self._send, number, self._key(number, version))
            return True
        except WrongKey:
            return False

    def _again(self, master: int) -> Session:
        self._select()
        return ev2host.authenticate(self._send, _MASTER, self._key(_MASTER, master))

    def _verify(self, wanted: int) -> None:
        self._select()
        for number in (self._keys.number, _MASTER):
            if not self._holds(number, wanted):
                raise CardError(f"the card does not take its new key {number}; run the same command again")
        self._done.append("both keys were tried: " + self._named(wanted))

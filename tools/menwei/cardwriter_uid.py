"""Cards of which only the UID counts: nothing is written, they are only looked at before they are enrolled."""

from __future__ import annotations

from menwei.cardwriter import FACTORY, Card, CardError, Outcome, Writer, magic_warning, refuse_random


class UidWriter(Writer):
    """Checks what can be checked of a bare UID. Duplicates are the register's matter."""

    def __init__(self, card: Card) -> None:
        super().__init__()
        self._card = card

    def plan(self, action: str) -> list[str]:
        """What `action` would do."""
        return ["nothing is written to a uid card; its UID is checked and put into the register"]

    def check(self) -> Outcome:
        """Refuse random UIDs; warn about magic cards and about what a UID is worth."""
        refuse_random(self._card)
        warnings = [*magic_warning(self._card), "a UID is copied in seconds; prefer ntag424 or desfire"]
        return Outcome(FACTORY, ["the UID is fixed"], None, warnings)

    def write(self) -> Outcome:
        """As check(); enrolling is the register's matter."""
        outcome = self.check()
        self._changes(FACTORY)
        return outcome

    def rekey(self) -> Outcome:
        """There is no key."""
        raise CardError("a uid card has no keys, so it cannot be re-keyed; write a card of another kind instead")

    def reset(self) -> Outcome:
        """There is nothing to take back but the register's line."""
        return Outcome(FACTORY, ["nothing is written on a uid card, so nothing was taken back from it"])

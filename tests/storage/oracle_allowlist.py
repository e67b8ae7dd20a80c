"""What an allowlist must say, as a plain dict; imports nothing of the code under test.

oracle = Oracle()
oracle.apply(("put", pseudonym, valid_from, valid_until, group, key_version, uses))
oracle.look(pseudonym)  # (state, valid_from, valid_until, group, key_version, limited, uses left) or None
"""

from hashlib import sha256

LIVE, SUSPENDED, REVOKED = 0, 1, 2


class Oracle:
    """Cards by pseudonym: [state, valid from, valid until, group, key version, granted uses, uses left]."""

    def __init__(self):
        self.cards = {}
        self.revision = (0, 0)

    def copy(self):
        """Return another oracle that says the same."""
        other = Oracle()
        other.cards = {pseudonym: list(card) for pseudonym, card in self.cards.items()}
        other.revision = self.revision
        return other

    def may_go(self, now_min):
        """Return the revoked cards that may give way when their sector is rewritten: 90 days after their own expiry."""
        return [
            pseudonym
            for pseudonym, card in self.cards.items()
            if card[0] == REVOKED and card[2] != 0xFFFFFF and card[2] + 90 * 24 * 60 < now_min
        ]

    def apply(self, change):
        """Apply one change: (operation, pseudonym, values...)."""
        operation, pseudonym = change[:2]
        card = self.cards.get(pseudonym)
        if operation == "put":
            _, _, valid_from, valid_until, group, key_version, uses = change
            wanted = [LIVE, valid_from, valid_until, group, key_version, uses, uses]
            if card is None or card[:6] != wanted[:6]:
                self.cards[pseudonym] = wanted
        elif operation in ("suspend", "revoke"):
            state = SUSPENDED if operation == "suspend" else REVOKED
            if card is None:
                _, _, valid_from, valid_until, group, key_version, uses = change
                self.cards[pseudonym] = [state, valid_from, valid_until, group, key_version, uses, uses]
            else:
                card[0] = max(card[0], state)
        elif operation == "forget":
            self.cards.pop(pseudonym, None)
        elif operation == "use":
            card[6] -= 1
        else:
            raise ValueError(operation)

    def reconcile(self, page, chosen):
        """Make the cards of `chosen` (a function of the pseudonym) be those of a page.

        Revoked ones stay; return how many of the page they beat.
        """
        named = {card[1]: card for card in page}
        for pseudonym in [p for p in self.cards if chosen(p) and p not in named]:
            if self.cards[pseudonym][0] != REVOKED:
                del self.cards[pseudonym]
        beaten = 0
        for pseudonym, (state, _, valid_from, valid_until, group, key_version, uses) in named.items():
            old = self.cards.get(pseudonym)
            wanted = [state, valid_from, valid_until, group, key_version, uses, uses]
            if old and old[0] == REVOKED and state != REVOKED:
                beaten += 1
            elif old is None or old[:6] != wanted[:6]:
                self.cards[pseudonym] = wanted
        return beaten

    def look(self, pseudonym):
        """Return what a lookup must find."""
        card = self.cards.get(pseudonym)
        if card is None:
            return None
        return (card[0], card[1], card[2], card[3], card[4], card[5] > 0, card[6])

    def digests(self):
        """Return the digests of live entries and of tombstones, from the words of docs/flash-formats.md."""
        sums = [bytearray(8), bytearray(8)]
        for pseudonym, card in self.cards.items():
            state, valid_from, valid_until, group, key_version, uses, _ = card
            text = b"menwei entry" + pseudonym[1:]
            text += valid_from.to_bytes(3, "little") + valid_until.to_bytes(3, "little")
            text += bytes((group | key_version << 6, 2 if uses else 1, state))
            digest = sha256(text).digest()
            total = sums[1 if state == REVOKED else 0]
            for i in range(8):
                total[i] ^= digest[i]
        return bytes(sums[0]), bytes(sums[1])

    def counts(self):
        """Return live entries (suspended ones included) and tombstones."""
        tombstones = 0
        for card in self.cards.values():
            tombstones += card[0] == REVOKED
        return len(self.cards) - tombstones, tombstones

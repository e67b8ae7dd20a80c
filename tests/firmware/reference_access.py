"""A slow reference of the access decision, written from docs/architecture.md. Imports nothing of the code under test.

A card is judged by trying every minute in which the present may lie.
"""

FOREVER = 0xFFFFFF


def verdict_at(card, minute):
    """Judge with the time known exactly."""
    if minute >= card["until"]:
        return "expired"
    if minute < card["from"]:
        return "not yet valid"
    return "ok"


def decide(card, minutes, floor, resident, accepted=True, proven=True):
    """Return the set of acceptable reasons.

    Args:
        card: None, or a dict of state, from, until, limited, uses.
        minutes: the minutes (range) in which the present lies; with a floor, open to the right.
        floor: True if only the lower bound is known.
        resident: the card belongs to a group that is judged in its favour.
        accepted: the door takes this kind of credential.
        proven: the credential has proved itself.
    """
    if card is None:
        return "unknown"
    if card["state"] in ("cancelled", "suspended"):
        return card["state"]
    if not accepted:
        return "too weak"
    if not proven:
        return "not proven"
    if card["from"] >= card["until"]:
        return "expired"
    verdicts = {verdict_at(card, minute) for minute in minutes}
    if floor:
        # Later minutes are possible without end.
        verdicts |= {"ok"} if card["until"] > minutes[-1] else set()
        if card["until"] != FOREVER:
            verdicts.add("expired")
    favoured = resident and not card["limited"]
    if verdicts == {"expired"}:
        return "expired"
    if verdicts == {"not yet valid"} and not floor:
        return "not yet valid"
    if not favoured:
        if floor:
            return "clock unknown"
        if "expired" in verdicts:
            return "expired"
        if "not yet valid" in verdicts:
            return "not yet valid"
    if card["limited"] and not card["uses"]:
        return "uses exhausted"
    return "ok"

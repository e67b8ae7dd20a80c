"""Anti-passback: who went in and has not come out does not go in again. Pure; for doors with a reader on both sides.

    passback = PassBack(timeout_min=30, exempt=(5,))
    reason = access.decide(…, passed_back=passback.back(pseudonym, side, group, uptime.seconds // 60))
    passback.went(pseudonym, side, uptime.seconds // 60)        # when the door was opened

It knows those who went last, and forgets them when their time is over, when others need their place, and at a restart:
each time in favour of who stands at the door. Minutes are of uptime, so no clock can lock anybody out.
"""

from micropython import const

_PLACE = const(11)  # pseudonym, side and minute: 1 and 23 bits
_PSEUDONYM = const(7)


class PassBack:
    """The last `places` who went, the newest in place of the oldest."""

    def __init__(self, timeout_min, exempt=(), places=64):
        """Start with nobody.

        Args:
            timeout_min: after so many minutes nobody knows any more on which side somebody is.
            exempt: groups that are never refused.
            places: how many people are remembered.
        """
        self._timeout_min = timeout_min
        self._exempt = exempt
        self._people = bytearray(_PLACE * places)
        self._next = 0

    def back(self, pseudonym, side, group, uptime_min):
        """Tell whether this one went through on this `side` (0 or 1) before, and not on the other side since."""
        at = self._find(pseudonym)
        if at < 0 or group in self._exempt:
            return False
        stamp = self._stamp(at)
        return stamp > 0 and stamp & 1 == side and uptime_min - (stamp >> 1) + 1 < self._timeout_min

    def went(self, pseudonym, side, uptime_min):
        """This one has gone through, coming from `side`."""
        at = self._find(pseudonym)
        if at < 0:
            at = self._next
            self._next = (at + _PLACE) % len(self._people)
        people = self._people
        people[at : at + _PSEUDONYM] = pseudonym
        stamp = uptime_min + 1 << 1 | side  # an empty place has 0
        for index in range(at + _PSEUDONYM, at + _PLACE):
            people[index] = stamp & 255
            stamp >>= 8

    def _stamp(self, at):
        people = self._people
        return people[at + 7] | people[at + 8] << 8 | people[at + 9] << 16 | (people[at + 10] & 63) << 24

    def _find(self, pseudonym):
        people = self._people
        for at in range(0, len(people), _PLACE):
            index = 0
            while index < _PSEUDONYM and people[at + index] == pseudonym[index]:
                index += 1
            if index == _PSEUDONYM:
                return at
        return -1

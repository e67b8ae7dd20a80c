"""What upstream orders a door to do: commands, each for the door's present session (docs/commands.md).

    command = await upstream.unlock("front-gate", operator=7, approver=8, reason=3)
    assert await command.wait(5) == DONE

`Orders` is the half of menwei.upstream.Upstream that people use; what connects and answers is there.
"""

from __future__ import annotations

from menwei.epoch import UNIX_2020
from menwei.session import Command, NoSession, Session
from menwei.store import Store
from sync import messages
from sync import upstream as wire

# What a door carries out only with a second person's consent.
APPROVED = (
    messages.OP_UNLOCK,
    messages.OP_DROP_CARD_KEY,
    messages.OP_LOWER_CLOCK,
    messages.OP_PROP,
    messages.OP_APPLY,
    messages.OP_DROP_DOOR_KEY,
)
# How old the time in a set-time command can be when the door takes it; firmware/clock.py counts on it.
TIME_DEADLINE_S = 3


class Orders:
    """Commands. Each takes `people` as `order` does: operator, approver, reason, as numbers."""

    store: Store
    sessions: dict[str, Session]
    _replayed: Command | None

    async def unlock(self, door: str, seconds: int = 0, **people: int) -> Command:
        """Unlock a door once, or keep it unlocked for up to 3,600 s; once ends an unlock that lasts."""
        return await self.order(door, messages.OP_UNLOCK, seconds, **people)

    async def lock_down(self, door: str, begins: bool, **people: int) -> Command:
        """Let no card in until it is released again; the way out is not concerned."""
        return await self.order(door, messages.OP_LOCK_DOWN, int(begins), **people)

    async def maintenance(self, door: str, seconds: int, **people: int) -> Command:
        """Silence the sounder for up to 28,800 s of work at the door; 0 ends it."""
        return await self.order(door, messages.OP_MAINTENANCE, seconds, **people)

    async def prop(self, door: str, seconds: int, **people: int) -> Command:
        """Let the leaf stand open for up to a day; 0 ends it."""
        return await self.order(door, messages.OP_PROP, seconds, **people)

    async def mute(self, door: str, seconds: int, **people: int) -> Command:
        """Silence the alarms that are on for up to a day."""
        return await self.order(door, messages.OP_MUTE, seconds, **people)

    async def self_test(self, door: str, **people: int) -> Command:
        """Test the door when nobody is there; its record tells the result."""
        return await self.order(door, messages.OP_SELF_TEST, **people)

    async def restart(self, door: str, **people: int) -> Command:
        """Restart the controller when nobody is at the door, in a minute at most."""
        return await self.order(door, messages.OP_RESTART, **people)

    async def collect(self, door: str, first: int, **people: int) -> Command:
        """Have acknowledged records sent again, up to 1,024 from number `first` on."""
        return await self.order(door, messages.OP_COLLECT, first, **people)

    async def apply_parcel(self, door: str, number: int, **people: int) -> Command:
        """Have a parcel applied that the door holds whole."""
        return await self.order(door, messages.OP_APPLY, number, **people)

    async def drop_door_key(self, door: str, **people: int) -> Command:
        """Have a door forget the door key before its present one."""
        return await self.order(door, messages.OP_DROP_DOOR_KEY, **people)

    async def drop_card_key(self, door: str, kind: int, version: int, **people: int) -> Command:
        """Have a door drop a card read key that two persons agree is no longer used; `people` as `order` takes them."""
        return await self.order(door, messages.OP_DROP_CARD_KEY, kind | version << 8, **people)

    async def lower_clock(self, door: str, seconds: int | None = None, **people: int) -> Command:
        """Set a door's clock to our time, or to seconds since 2020, also back behind its floor; by two persons."""
        if seconds is None:
            seconds = int(await self._look_at_clock()) - UNIX_2020
        return await self.order(door, messages.OP_LOWER_CLOCK, seconds, TIME_DEADLINE_S, **people)

    async def replay(self, command: Command) -> None:
        """Send the bytes of an old command again, as somebody who recorded them would."""
        session = self.sessions.get(command.door)
        if session and session.nonce != command.nonce:
            self._replayed = command
        await self.publish(command.door, "cmd", command.raw)

    async def order(
        self,
        door: str,
        operation: int,
        argument: int = 0,
        deadline_s: int = 30,
        *,
        operator: int,
        approver: int = 0,
        reason: int = 0,
    ) -> Command:
        """Send a command of docs/protocol.md; with an approver's consent if one is named.

        Raises:
            NoSession: the door is not connected.
        """
        session = self.sessions.get(door)
        if session is None:
            raise NoSession(f"door {door} is not connected; a command cannot wait for it")
        now = await self._look_at_clock()
        # Another program may command the same door through the same database.
        number = session.last_number = max(session.last_number, self.store.last_command_id(door, session.nonce)) + 1
        deadline = session.up + int(now - session.at) + deadline_s
        body = wire.command_body(operation, reason, session.nonce, number, deadline, operator, approver, argument)
        consent = (wire.approval(self._key(door, b"approve"), body),) if approver else ()
        raw = wire.build_command(self._key(door, b"cmd"), body, *consent)
        command = session.commands[number] = Command(door, operation, session.nonce, number, raw)
        fields = {
            "nonce": session.nonce, "command_id": number, "operation": operation, "operator": operator,
            "approver": approver, "reason": reason, "deadline": deadline,
        }  # fmt: skip
        self.store.add_command(door, fields, raw, int(now))
        await self.publish(door, "cmd", raw)
        return command

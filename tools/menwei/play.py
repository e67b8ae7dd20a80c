"""Play a scenario: every step is done to the door, by people or by upstream, in the world's time.

player = Player(scenario, stage, on_step=print)
await player.play()
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from menwei import names
from menwei.scenario import Scenario, ScenarioError, Step
from menwei.session import Command, NoSession
from menwei.simdoor import PowerLost, SimError
from menwei.stage import DOOR, Stage
from sync import messages

_TAP_S = 0.6
_PRESS_S = 0.3
_DARK_S = 60
_AFTER_S = 0.4  # what somebody does is over before the next one does something
_CUT_WITHIN_S = 5
_ANSWER_S = 10
_SETTLE_S = 900
_PASSAGE_S = 3  # somebody goes through, and the contact comes to rest afterwards
_CLOSER_S = 4  # unless the scenario has it otherwise
_STILL_S = 3
# Traffic with real sockets: virtual time must not run away from a broker that lives in real time.
_PACE = 10
_HALF_DAY = timedelta(hours=12)
_OPERATOR, _APPROVER, _REASON = 7, 8, 3


class Unmet(Exception):
    """The world is not as the scenario wants it."""


class Player:
    """Plays the steps of one scenario."""

    def __init__(self, scenario: Scenario, stage: Stage, on_step: Callable[[Step], None] | None = None) -> None:
        self.scenario = scenario
        self.stage = stage
        self.result: str = "none"  # of the last command
        self._on_step = on_step
        self._unlock: Command | None = None
        self._closer_s: float = _CLOSER_S
        self._actions = {
            "tap NAME [SECONDS]": self._tap,
            "pull": self._pull,
            "pass NAME COUNT": self._pass,
            "hold open": self._hold_open,
            "let go": self._let_go,
            "force": self._force,
            "exit [SECONDS]": lambda seconds: self._press("exit", seconds),
            "intercom [SECONDS]": lambda seconds: self._press("intercom", seconds),
            "key [SECONDS]": lambda seconds: self._press("key", seconds),
            "closer DURATION": self._closer,
            "fire SWITCH": lambda switch: self._switch("fire", switch),
            "tamper SWITCH": lambda switch: self._switch("tamper", switch),
            "net SWITCH": self._net,
            "cut [DURATION]": self._cut,
            "cut in tap NAME [MODE]": self._cut_in_tap,
            "unlock remote": self._unlock_remote,
            "prop DURATION": self._prop,
            "replay last unlock": self._replay,
            "cancel NAME": lambda name: self._office(stage.cancel, name),
            "suspend NAME": lambda name: self._office(stage.suspend, name),
            "renew NAME DATE": lambda name, until: self._office(stage.put, name, until),
            "wait DURATION": stage.pass_time,
            "at": self._nothing,
            "settle": self._settle,
            "expect leaf LEAF": lambda value: self._expect_state("leaf", value),
            "expect bolt BOLT": lambda value: self._expect_state("bolt", value),
            "expect link SWITCH": self._expect_link,
            "expect clock TRUST": self._expect_clock,
            "expect result RESULT": self._expect_result,
            "expect waiting SWITCH": self._expect_waiting,
        }

    def prepare(self) -> None:
        """Put the listed cards into the door's intended list."""
        for card in self.scenario.cards.values():
            if card.listed:
                self.stage.put(card)

    async def play(self) -> None:
        """All steps; raises ScenarioError at the first that cannot be done or whose expectation fails."""
        for step in self.scenario.steps:
            await self.do(step)

    async def do(self, step: Step) -> None:
        """Wait for a step's time and carry it out."""
        try:
            await self._wait_for(step.at)
            if self._on_step:
                self._on_step(step)
            await self._actions[step.form](*step.arguments)
        except PowerLost:
            raise self._error(step, "the power was cut where the scenario did not cut it") from None
        except (NoSession, SimError) as error:
            raise self._error(step, str(error)) from error
        except Unmet as error:
            raise self._error(step, str(error)) from None

    def _error(self, step: Step, text: str) -> ScenarioError:
        return ScenarioError(
            self.scenario.path, step.line, f"{step.text}: {text}\nthe door's last words:\n{self.stage.door.tail()}"
        )

    async def _wait_for(self, at: timedelta | datetime | None) -> None:
        if at is None:
            return
        now = datetime.fromtimestamp(self.stage.now(), UTC)
        target = at if isinstance(at, datetime) else now.replace(hour=0, minute=0, second=0, microsecond=0) + at
        if target < now - _HALF_DAY and isinstance(at, timedelta):
            target += timedelta(days=1)
        if target < now:
            raise Unmet(f"it is {now:%Y-%m-%d %H:%M:%S} already")
        await self.stage.pass_time((target - now).total_seconds())

    async def _nothing(self) -> None:
        pass

    # People

    async def _tap(self, name: str, seconds: float | None) -> None:
        await self.stage.door.card(self.scenario.cards[name].uid, seconds or _TAP_S)
        await self.stage.pass_time((seconds or _TAP_S) + _AFTER_S)

    async def _pull(self) -> None:
        await self._do("pull")

    async def _pass(self, name: str, count: int) -> None:
        for _ in range(count):
            await self._tap(name, None)
            if not (await self.stage.door.ask("pull"))["opened"]:
                raise Unmet("the leaf did not open")
            await self.stage.pass_time(_PASSAGE_S + self._closer_s)
        await self._expect_state("leaf", "closed")

    async def _closer(self, seconds: float) -> None:
        self._closer_s = seconds
        await self._do("closer", int(seconds * 1000))

    async def _hold_open(self) -> None:
        await self._do("hold", 1)
        await self._do("pull")

    async def _let_go(self) -> None:
        await self._do("hold", 0)

    async def _force(self) -> None:
        await self._do("force")

    async def _do(self, verb: str, *arguments: object) -> None:
        await self.stage.door.ask(verb, *arguments)
        await self.stage.pass_time(_AFTER_S)

    async def _press(self, name: str, seconds: float | None) -> None:
        await self.stage.door.ask(name, 1)
        await self.stage.pass_time(seconds or _PRESS_S)
        await self._do(name, 0)

    async def _switch(self, name: str, switch: str) -> None:
        await self._do(name, int(switch == "on"))

    async def _net(self, switch: str) -> None:
        await self.stage.network(switch == "on")
        await self.stage.pass_time(_AFTER_S)

    async def _cut(self, dark_s: float | None) -> None:
        await self.stage.door.cut()
        await self.stage.power_back(dark_s or _DARK_S)

    async def _cut_in_tap(self, name: str, mode: str | None) -> None:
        await self.stage.door.ask("cutat", 1, mode or "random")
        await self.stage.door.card(self.scenario.cards[name].uid, _TAP_S)
        try:
            await self.stage.pass_time(_CUT_WITHIN_S)
        except PowerLost:
            await self.stage.power_back(_DARK_S)
            return
        raise Unmet(f"nothing was written to flash within {_CUT_WITHIN_S} s after the tap, so no power was cut")

    # Upstream

    async def _office(self, change: Callable, name: str, *arguments: object) -> None:
        change(self.scenario.cards[name], *arguments)

    async def _unlock_remote(self) -> None:
        self._unlock = await self.stage.upstream.unlock(DOOR, operator=_OPERATOR, approver=_APPROVER, reason=_REASON)
        await self._answer()

    async def _prop(self, seconds: float) -> None:
        who = {"operator": _OPERATOR, "approver": _APPROVER, "reason": _REASON}
        self._unlock = await self.stage.upstream.order(DOOR, messages.OP_PROP, int(seconds), **who)
        await self._answer()

    async def _replay(self) -> None:
        if self._unlock is None:
            raise Unmet("there was no unlock before")
        await self.stage.upstream.replay(self._unlock)
        await self._answer()

    async def _answer(self) -> None:
        """Wait until the door has answered once more than before."""
        command, before = self._unlock, len(self._unlock.results)
        self.result = "none"
        for _ in range(_ANSWER_S * 4):
            await self.stage.pass_time(0.25, pace=_PACE)
            if len(command.results) > before:
                self.result = names.RESULTS.get(command.results[-1], str(command.results[-1]))
                return

    async def _settle(self) -> None:
        """Until upstream has stored what stands in flash, the door knows it, and it holds the list it should."""
        still, waited = 0, 0
        while still < _STILL_S:
            if waited > _SETTLE_S:
                raise Unmet(f"after {_SETTLE_S} s of the door's time: {self._missing()}")
            await self.stage.pass_time(1, pace=_PACE)
            waited += 1
            still = 0 if self._missing() else still + 1

    def _missing(self) -> str:
        stage = self.stage
        session = stage.upstream.sessions.get(DOOR)
        if session is None:
            return "the door is not connected"
        if not session.time_done:
            return "the door has not taken the time"
        if session.revision != stage.store.revision(DOOR):
            return f"the door holds list revision {session.revision} of {stage.store.revision(DOOR)}"
        stored, written = stage.stored(), stage.journal().records
        if len(stored) != len(written) or (stored and stored[-1].seq != written[-1].seq):
            return f"upstream has {len(stored)} of {len(written)} events"
        return ""

    # Expectations

    async def _expect_state(self, name: str, value: str) -> None:
        found = (await self.stage.door.state())[name]
        if found != value:
            raise Unmet(f"it is {found}")

    async def _expect_link(self, switch: str) -> None:
        found = "on" if DOOR in self.stage.upstream.sessions else "off"
        if found != switch:
            raise Unmet(f"it is {found}")

    async def _expect_clock(self, trust: str) -> None:
        session = self.stage.upstream.sessions.get(DOOR)
        found = session.clock if session else "unknown, because the door is not connected"
        if found != trust:
            raise Unmet(f"it is {found}")

    async def _expect_result(self, result: str) -> None:
        if self.result != result:
            raise Unmet(f"it was {self.result}")

    async def _expect_waiting(self, switch: str) -> None:
        missing = len(self.stage.journal().records) - len(self.stage.stored())
        if (missing > 0) != (switch == "on"):
            raise Unmet(f"{missing} events wait for upstream")

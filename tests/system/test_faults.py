"""A week at a door where everything fails at random; at its end nothing is lost, doubled, left out or done twice.

Real mosquitto, upstream in a process of its own, the firmware on the unix port in virtual time. An even seed is a week
over TLS, an odd one a week without it, in which single packets are lost, doubled and reordered, too. FAULT_SEEDS=1,2 or
FAULT_COUNT=50 for other weeks, FAULT_STEPS=40 for fuller ones; a seed that failed is printed with what was done.
"""

import asyncio
import os
import random
import time
from collections import Counter

import aiomqtt
import pytest
from chaos import Faults
from system.faulty_site import DOOR, SITE, Site
from system.oracle_faults import Database, Intended, check_commands, check_events, check_list, pseudonym, read
from tls_site import needs_mosquitto

from menwei.control import SimError
from menwei.epoch import UNIX_2020
from menwei.flashmap import board_region
from menwei.simdoor import PowerLost

pytestmark = needs_mosquitto

GRANTED, REFUSED = 2, 3
START = 1_796_112_000
WEEK_S = 7 * 86_400
STEPS = int(os.getenv("FAULT_STEPS") or 20)
CARDS = 12
STRANGER = "04deadbeef0102"
SETTLE_S = 6 * 3600
PACE = 40
OPERATIONS = {1: (0,), 5: (0, 1), 6: (0, 60), 7: (0, 30), 8: (0,)}
APPROVED = (1, 6)
# What upstream may rightly have found: the door has refused something, or has met what was sent again.
EXPECTED = {"no time", "command"}


def seeds():
    """Those of the environment, or as many numbers as there are to be weeks: each takes a seed of its own."""
    if os.getenv("FAULT_SEEDS"):
        return [int(word) for word in os.environ["FAULT_SEEDS"].split(",")]
    return list(range(int(os.getenv("FAULT_COUNT") or 2)))


def seed_of(number):
    """What the environment says, or a new seed: an even one for an even number."""
    return number if os.getenv("FAULT_SEEDS") else time.time_ns() // 1_000_000 % 1_000_000 * 2 + number % 2


class Week:
    """One week; everything that happens follows from the seed, but not its exact moment."""

    def __init__(self, site, seed):
        self.site, self.random = site, random.Random(seed)
        self.intended, self.orders, self.raws = Intended(), [], []
        self.done = Counter()
        self.said = []
        self.uids = [f"04{number:02x}{self.random.getrandbits(40):010x}" for number in range(CARDS)]
        self.steps = {
            self.tap: 12, self.exit: 4, self.alarm: 3, self.changes: 8, self.many_changes: 1, self.command: 8,
            self.replay: 4, self.network: 5, self.power: 3, self.power_in_flash: 3, self.broker: 4,
            self.upstream: 4, self.wire_of_packets: 5, self.wire_of_bytes: 3, self.slow_wire: 2,
        }  # fmt: skip

    async def live(self):
        """The week, and then quiet until everybody has caught up."""
        await self.first_list()
        end = START + WEEK_S
        names, weights = list(self.steps), list(self.steps.values())
        # Each kind of fault happens at least once, the rest is chance.
        plan = names + self.random.choices(names, weights, k=STEPS - len(names))
        self.random.shuffle(plan)
        for number, step in enumerate(plan):
            await self.do(step)
            left = end - self.site.door.unix
            if left > 0:
                began = time.monotonic()
                await self.pass_time(self.random.expovariate((len(plan) - number) / left))
                self.said[-1] += f", then {time.monotonic() - began:.1f} s"
        await self.settle()

    async def do(self, step):
        now = self.site.door.unix - START
        self.said.append("")
        line = len(self.said) - 1
        self.said[line] = f"{now // 86400} {now % 86400 / 3600:5.2f} {step.__name__}"
        self.done[step.__name__] += 1
        began = time.monotonic()
        await step()
        self.said[line] += f" ({time.monotonic() - began:.1f} s)"

    async def pass_time(self, seconds, **how):
        self.done["restarts"] += await self.site.pass_time(seconds, **how)

    def some_time(self, most=4000):
        return self.random.choice((1, 5, 30, 120, self.random.randrange(1, most)))

    # People

    async def ask(self, *words):
        """At the door; it may lose its power in this."""
        try:
            await self.site.door.ask(*words)
        except PowerLost:
            await self.site.revive(after_s=5)
            self.done["restarts"] += 1

    async def tap(self):
        for _ in range(self.random.randrange(1, 4)):
            await self.ask("card", self.random.choice([*self.uids, STRANGER]), 0.6)
            await self.pass_time(1)
            if self.random.random() < 0.6:
                await self.ask("pull")
            await self.pass_time(self.random.choice((6, 15)))

    async def exit(self):
        await self.ask("exit", 1)
        await self.pass_time(1)
        await self.ask("exit", 0)
        await self.ask("pull")
        await self.pass_time(8)

    async def alarm(self):
        name = self.random.choice(("tamper", "fire", "force"))
        if name == "force":
            await self.ask("force")
        else:
            await self.ask(name, 1)
            await self.pass_time(self.some_time(200))
            await self.ask(name, 0)
        await self.pass_time(20)

    # The office

    def _change(self, operation):
        values = (0, 0xFFFFFF) if self.random.random() < 0.7 else (1000, 5_000_000 + self.random.randrange(1000))
        name = pseudonym(self.site.door_key, self.random.choice(self.uids))
        start, until = (value.to_bytes(3, "little") for value in values)
        raw = bytes((operation,)) + name + start + until + bytes((self.random.randrange(3), 0))
        return raw

    async def _send(self, changes):
        if not self.up():
            return
        await self.site.upstream.ask("change", door=DOOR, changes=[raw.hex() for raw in changes])
        for raw in changes:
            self.intended.change(raw)

    def up(self):
        """Whether upstream runs."""
        return self.site.upstream.process.returncode is None

    async def first_list(self):
        await self.pass_time(60)
        await self._send([self._change(1) for _ in range(2 * CARDS)])
        await self.pass_time(120)
        for card in (*self.uids, STRANGER):
            await self.ask("card", card, 0.6)
            await self.pass_time(8)

    async def changes(self):
        await self._send(
            [self._change(self.random.choice((1, 1, 2, 3, 4))) for _ in range(self.random.randrange(1, 5))]
        )
        await self.pass_time(self.some_time(100))

    async def many_changes(self):
        await self._send([self._change(self.random.choice((1, 2, 3, 4))) for _ in range(150)])
        await self.pass_time(self.some_time(100))

    async def command(self):
        for _ in range(self.random.randrange(1, 4)):
            operation = self.random.choice(list(OPERATIONS))
            people = {"operator": 7, "approver": 8 if operation in APPROVED else 0, "reason": 3}
            deadline_s = self.random.choice((1, 5, 30, 300))
            argument = self.random.choice(OPERATIONS[operation])
            if self.up():
                at = self.site.door.unix - UNIX_2020
                try:
                    nonce, number, raw = await self.site.upstream.ask(
                        "order", door=DOOR, operation=operation, argument=argument, deadline_s=deadline_s, **people
                    )
                except OSError as error:
                    self.said.append(f"  no command: {error}")
                    continue
                finally:
                    self.done["orders"] += 1
                self.orders.append((bytes.fromhex(nonce), number, operation, at, deadline_s))
                self.raws.append(bytes.fromhex(raw))
            if self.random.random() < 0.5:
                await self.pass_time(1)
        await self.pass_time(10)

    async def replay(self):
        """Somebody says again what was once said: commands of this session and of others, also retained."""
        if not self.raws:
            return
        chosen = [self.random.choice(self.raws[-6:]) for _ in range(3)]
        try:
            async with aiomqtt.Client("127.0.0.1", self.site.broker.plain_port) as client:
                for raw in chosen:
                    await client.publish(f"menwei/v1/{SITE}/{DOOR}/cmd", raw, qos=1, retain=self.random.random() < 0.2)
        except aiomqtt.MqttError:
            return
        await self.pass_time(self.some_time(60))

    # Faults

    async def network(self):
        await self.site.network(False)
        await self.pass_time(self.some_time(30_000))
        if self.random.random() < 0.5:
            await self.tap()
        if self.random.random() < 0.5:
            await self.changes()
        if self.random.random() < 0.3:
            await self.power()
        await self.site.network(True)
        await self.pass_time(self.some_time(300))

    async def power(self):
        await self.site.door.cut()
        await self.site.revive(self.some_time(20_000))
        await self.pass_time(self.some_time(200))

    async def power_in_flash(self):
        """Power is lost in one of the next flash operations."""
        how = self.random.choice(("prefix", "random", "none", "all", "half"))
        await self.ask("cutat", self.random.randrange(1, 12), how)
        await self.tap()
        await self.pass_time(self.some_time(4000))

    async def broker(self):
        await self.site.broker.kill()
        await self.pass_time(self.some_time())
        if self.random.random() < 0.5:
            await self.tap()
        await self.site.broker.start()
        if self.up() and self.random.random() < 0.7:
            await self.site.upstream.connected()
        await self.pass_time(self.some_time(300))

    async def upstream(self):
        """Killed in the middle of whatever it does."""
        for _ in range(self.random.randrange(1, 6)):
            await self.ask("card", self.random.choice(self.uids), 0.4)
            await self.pass_time(1)
        killing = asyncio.create_task(self._kill_upstream(self.random.random() * 0.1))
        await self.pass_time(5)
        await killing
        await self.pass_time(self.some_time())
        await self.site.upstream.start()
        if self.random.random() < 0.7:
            await self.site.upstream.connected()
        await self.pass_time(self.some_time(60))

    async def _kill_upstream(self, after_s):
        await asyncio.sleep(after_s)
        await self.site.upstream.kill()

    async def wire_of_packets(self):
        """PUBLISH packets are lost, come twice, or overtake each other. With TLS only bits can be turned."""
        if self.site.certificate:
            await self.with_wire(Faults(flip=0.1), Faults(flip=0.1))
            return
        level = self.random.choice((0.05, 0.3))
        faults = [
            Faults(**{kind: level * self.random.randrange(3) for kind in ("drop", "duplicate", "reorder")})
            for _ in range(2)
        ]
        await self.with_wire(*faults)

    async def wire_of_bytes(self):
        """Connections break in the middle of a packet."""
        level = self.random.choice((0.02, 0.2))
        await self.with_wire(Faults(cut=level, truncate=level), Faults(cut=level, truncate=level))

    async def slow_wire(self):
        """1 kB/s and delays, by the door's clock: so that does not run faster than it is told to."""
        faults = Faults(rate=1000 * PACE, delay_s=self.random.choice((0, 2, 10)) / PACE)
        self.site.wire.set(faults, faults)
        await self.ask("card", self.random.choice(self.uids), 0.4)
        await self.command_at(PACE)
        self.site.wire.set()

    async def command_at(self, pace):
        await self.pass_time(30, pace=pace)
        await self.changes()
        await self.command()
        await self.pass_time(30, pace=pace)

    async def with_wire(self, up, down):
        self.site.wire.set(up, down)
        for _ in range(4):
            await self.random.choice((self.tap, self.changes, self.command, self.exit))()
            await self.pass_time(self.some_time())
        self.site.wire.set()
        await self.pass_time(self.some_time(100))

    # The end

    async def settle(self):
        """Everything works again. Until upstream has all, and the door, too."""
        await self.site.upstream.connected()
        waited = 0
        while self.missing():
            assert waited < SETTLE_S, f"after {waited} s: {self.missing()}\n{self.site.door.tail(40)}"
            await self.pass_time(60)
            await asyncio.sleep(0.02)
            waited += 60
        self.done["settled after, s"] = waited

    def missing(self):
        journal, cards = self.read()
        database = Database(self.site.upstream.database)
        stored = database.rows("SELECT coalesce(max(seq), 0) FROM events")[0][0]
        if stored != journal.head:
            return f"upstream has {stored} of {journal.head} events"
        wanted = database.rows("SELECT coalesce(max(revision), 0) FROM changes")[0][0]
        return f"the door holds revision {cards.revision} of {wanted}" if wanted != cards.revision else ""

    def read(self):
        regions = {name: board_region(name) for name in ("journal", "cards")}
        return read(self.site.door.flash, regions, self.site.journal_key)


@pytest.mark.parametrize("number", seeds())
async def test_a_week_of_faults(tmp_path, number):
    """Upstream has exactly the door's events, the door exactly the intended list, and no command is done twice."""
    seed = seed_of(number)
    print(f"again: FAULT_SEEDS={seed} pytest tests/system/test_faults.py")
    async with Site(tmp_path, seed, START, tls=not seed % 2) as site:
        week = Week(site, seed)
        try:
            await week.live()
        except (SimError, AssertionError):
            print("\n".join(week.said))
            raise
        await site.door.stop()
        await site.upstream.kill()
        journal, cards = week.read()
        database = Database(site.upstream.database)
        executed = check_commands(journal, database, DOOR, week.orders)
        print("\n".join(week.said))
        print(dict(week.done), dict(site.wire.done), journal.head, "records,", executed, "commands executed")
        print(database.findings())
        check_events(journal, database, DOOR)
        check_list(cards, week.intended)
        assert journal.head > 84 and executed > 1
        kinds = Counter(record.kind for record in journal.records)
        assert kinds[GRANTED] and kinds[REFUSED], "nobody was let in all week, or everybody"
        assert {kind for kind, *_ in database.findings()} <= EXPECTED, database.findings()

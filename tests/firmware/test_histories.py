"""Histories of a door: lists that change, power cuts, lost communication, clocks that drift. Every tap is judged three
times: by the door, by the reference with what the door knows, and by the reference with the truth."""

from types import SimpleNamespace

import policies
import reference_access
from hypothesis import event, given, settings
from hypothesis import strategies as st
from policies import BASE_MIN, DAY_MIN, NAMES, NO_END, RESERVATIONS, STATES, entry_of

from drivers.credential import UID
from firmware import access
from firmware.clock import Clock
from firmware.config import DEFAULTS
from firmware.kept import Kept
from firmware.passage import Passage
from storage import record

CARDS = 4
PPM = 50
BUILT_S = BASE_MIN * 60 - 30 * 86400  # of the release, before it was delivered
MOST_WRONG_S = 10  # of a synchronised clock, GB 50396-2007 5.1.3


class Nvs:
    """What is committed survives the power."""

    def __init__(self):
        self.committed, self.pending = {}, {}

    def get_i32(self, name):
        """Raise OSError for a name that was never set."""
        if name not in self.pending:
            raise OSError(2)
        return self.pending[name]

    def set_i32(self, name, value):
        """Not yet durable."""
        self.pending[name] = value

    def commit(self):
        """Now it is."""
        self.committed = dict(self.pending)


class List:
    """The allowlist of the door: what was applied is durable."""

    def __init__(self):
        self.cards = [None] * CARDS
        self.entry = None

    def find(self, pseudonym):
        """Look a card up, as storage.allowlist does."""
        self.number = pseudonym[0]
        card = self.cards[self.number]
        self.entry = entry_of(card)
        return card is not None

    def use(self, _pseudonym):
        """One use less."""
        self.cards[self.number]["uses"] -= 1


class World:
    """One door with its surroundings; the truth and what the door knows are apart."""

    def __init__(self, door, rate_ppm):
        self.door = door
        self.rate_ppm = rate_ppm
        self.true_s = BASE_MIN * 60
        self.office = [None] * CARDS
        self.orders = []  # not yet at the door
        self.list = List()
        self.nvs = Nvs()
        self.saved_s = BUILT_S
        self.link = SimpleNamespace(connected=False)
        self.records = []
        self.seen = set()
        self.start(Clock(BUILT_S, PPM))
        self.clock.resume(-631_152_000, 0, 5)  # the chip says the year 2000; it must not matter

    def start(self, clock):
        """Power on: only what is durable is left."""
        self.nvs.pending = dict(self.nvs.committed)
        self.clock = clock
        self.uptime = SimpleNamespace(seconds=0)
        self.booted_s = self.true_s
        self.link.connected = False
        self.kept = Kept(self.nvs)
        self.relay = []
        self.passage = Passage(
            bytes(32),
            self.list,
            SimpleNamespace(link=self.link, note=self.note),
            clock,
            self.uptime,
            SimpleNamespace(release=lambda cause, open_ms: self.relay.append(open_ms)),
            SimpleNamespace(release=lambda: None),
            {**DEFAULTS, **self.door},
        )
        self.passage.locked_down = bool(self.kept.get("lockdown"))
        self.pass_time(0)

    def note(self, kind, reason=0, _pseudonym=None, _detail=0):
        """The journal never fails here."""
        self.records.append((kind, reason))
        return True

    def pass_time(self, seconds):
        """Let true time pass; the door counts it with its own oscillator."""
        self.true_s += seconds
        age_s = self.true_s - self.booted_s
        self.uptime.seconds = age_s + age_s * self.rate_ppm // 1_000_000
        self.clock.update(self.uptime.seconds)

    def step(self, step):
        """Do one step of a history."""
        name, *what = step
        getattr(self, name)(*what)

    def wait(self, minutes):
        """Orders that were under way arrive meanwhile, if there is a link."""
        if self.link.connected:
            self.deliver()
        self.pass_time(minutes * 60)

    def deliver(self):
        """Apply what is under way."""
        for number, card in self.orders:
            self.list.cards[number] = card and dict(card)
        self.orders.clear()

    def order(self, number, card):
        """The office changes its mind about a card."""
        self.office[number] = card
        self.orders.append((number, card))

    def connect(self, connected):
        """The link comes and goes."""
        self.link.connected = connected

    def synchronise(self):
        """Authenticated time comes from upstream only."""
        if self.link.connected and self.clock.synchronise(self.true_s, self.uptime.seconds) is not None:
            self.saved_s = self.true_s
            self.clock.update(self.uptime.seconds)

    def lock_down(self, begins):
        """As firmware.commands does it."""
        if self.link.connected and self.kept.set("lockdown", int(begins)):
            self.passage.locked_down = begins

    def power_cut(self):
        """No RTC: back to the floor."""
        self.start(Clock(self.saved_s, PPM))

    def reset(self):
        """The RTC survives, with its error so far."""
        now_s, was = self.clock.now_s, self.clock.trust
        clock = Clock(self.saved_s, PPM)
        self.start(clock)
        if was != record.FLOOR:
            clock.resume(now_s, 0, 5 + (now_s - self.saved_s) // 1000 * PPM // 1000)
            self.pass_time(0)

    def tap(self, number):
        """Show a card and judge the judgement."""
        clock = self.clock
        floor = clock.trust == record.FLOOR
        earliest, latest = clock.earliest_min, clock.latest_min
        true_min = self.true_s // 60
        if clock.trust == record.SYNCHRONISED:
            assert abs(clock.now_s - self.true_s) <= MOST_WRONG_S
            true_min = clock.now_s // 60  # exact by definition; it may be a few seconds beside the minute
        assert earliest <= true_min <= latest
        held = self.list.cards[number]
        held = held and dict(held)
        office = self.office[number]
        if office and held:
            office = {**office, "uses": held["uses"]}  # they are counted at the door
        locked_down = bool(self.nvs.committed.get("lockdown"))
        under_way = any(other == number for other, _ in self.orders)

        self.records.clear()
        self.relay.clear()
        self.passage.pseudonym[:] = bytes([number] * 7)
        self.passage.credential.show(UID, 4)
        answer = self.passage.present()

        def judge(card, first, last, at_floor):
            return reference_access.decide(self.door, card, first, last, at_floor, locked_down)

        reason, reservations = judge(held, earliest, latest, floor)
        if not self.link.connected:
            reservations = reservations | {"untold"}
        self.seen.add(reason)
        if reason != "ok":
            assert NAMES[answer] == reason
            assert not self.relay
            assert (record.REFUSED, answer) in self.records or self.passage._folded
            assert not any(kind == record.GRANTED for kind, _ in self.records)
            group = reference_access.group_of(self.door, held["group"]) if held else None
            told = held is not None and held["state"] == "live" and held["from"] <= true_min < held["until"]
            if told and group["resident"] and not held["limited"] and group["at_floor"] and group["week"] is None:
                assert locked_down and not group["exempt"]  # nothing else keeps a valid resident out
            return
        assert answer == record.OK
        group = reference_access.group_of(self.door, held["group"])
        assert self.relay == [group["open_s"] * 1000]
        kind, sum_of = self.records[0]
        flags = {name for bit, name in RESERVATIONS.items() if sum_of & bit}
        assert (kind, sum_of & access.REFUSALS, flags) == (record.GRANTED, 0, reservations)
        # Who knows the time but has told the door no more: refuses only what stands above the floor.
        by_time = judge(held, true_min, true_min, False)
        if by_time[0] != "ok":
            self.seen.add("above the floor, " + by_time[0])
            assert "above floor" in flags
        elif "in grace" in by_time[1]:
            assert flags & {"in grace", "above floor"}
        # Who knows the newest list but no more of the time: refuses only what was not yet told.
        if judge(office, earliest, latest, floor)[0] != "ok":
            self.seen.add("not yet told")
            assert under_way
            assert "untold" in flags or self.link.connected
        # Who knows all: nothing but these two.
        if judge(office, true_min, true_min, False)[0] != "ok":
            assert under_way or "above floor" in flags
        if not under_way and "above floor" not in flags:
            assert judge(office, true_min, true_min, False)[0] == "ok"


near = st.integers(-3 * DAY_MIN, 12 * DAY_MIN).map(lambda minute: BASE_MIN + minute)
known = st.fixed_dictionaries(
    {
        "state": st.sampled_from(("live", "live", "live", "live", "suspended", "cancelled")),
        "from": st.just(0) | st.just(0) | near,
        "until": near | st.just(NO_END),
        "limited": st.sampled_from((False, False, True)),
        "uses": st.integers(1, 2),
        "group": st.sampled_from((0, 0, 1, 2)),
    }
)
listed = known | known | known | st.none()
numbers = st.integers(0, CARDS - 1)
waits = st.integers(0, 90) | st.integers(0, 3 * DAY_MIN) | st.integers(0, 400 * DAY_MIN)
taps = st.tuples(st.just("tap"), numbers)
steps = st.one_of(
    taps,
    taps,
    taps,
    st.tuples(st.just("wait"), waits),
    st.tuples(st.just("order"), numbers, listed),
    st.tuples(st.just("order"), numbers, known),
    st.tuples(st.just("connect"), st.sampled_from((False, True, True))),
    st.tuples(st.just("synchronise")),
    st.tuples(st.just("synchronise")),
    st.tuples(st.just("lock_down"), st.booleans()),
    st.tuples(st.sampled_from(("power_cut", "reset"))),
)


@settings(max_examples=800, deadline=None)
@given(
    policies.doors,
    st.integers(-PPM, PPM),
    st.lists(listed, min_size=CARDS, max_size=CARDS),
    st.booleans(),
    st.lists(steps, min_size=8, max_size=40),
)
def test_whatever_happens(door, rate_ppm, cards, in_touch, history):
    """Its own knowledge is never overruled; what full knowledge would refuse is of two classes, each flagged."""
    world = World(door, rate_ppm)
    for number, card in enumerate(cards):
        world.order(number, card)
    world.deliver()
    world.connect(in_touch)
    world.synchronise()
    for step in history:
        world.step(step)
    for number in range(CARDS):
        world.tap(number)
    for what in world.seen:
        event(what)


def test_both_classes_occur_and_are_flagged():
    """The test above would pass if nothing of this ever happened."""
    door = {"residents": [0], "open_s": 5, "policy": {}}
    card = {"state": "live", "from": 0, "until": BASE_MIN + 60, "limited": False, "uses": 1, "group": 0}
    world = World(door, 0)
    world.order(0, card)
    world.deliver()
    world.wait(120)
    world.tap(0)
    assert world.records == [(record.GRANTED, record.ABOVE_FLOOR | record.UNTOLD)]
    world.connect(True)
    world.synchronise()
    world.tap(0)
    assert world.records == [(record.REFUSED, record.EXPIRED)]
    world.order(0, {**card, "until": NO_END})
    world.wait(1)
    world.order(0, {**card, "state": "cancelled", "until": NO_END})
    world.tap(0)
    assert world.records == [(record.GRANTED, record.OK)]  # the order is under way
    world.connect(False)
    world.tap(0)
    assert world.records == [(record.GRANTED, record.UNTOLD)]
    world.connect(True)
    world.wait(1)
    world.tap(0)
    assert world.records[0] == (record.REFUSED, record.CANCELLED)


def test_a_lock_down_outlives_a_power_cut():
    """And so does its end; the state names are those of the list."""
    assert set(STATES) == {"live", "suspended", "cancelled"}
    door = {"residents": [0], "open_s": 5, "policy": {"groups": {"1": {"exempt_lockdown": True}}}}
    card = {"state": "live", "from": 0, "until": NO_END, "limited": False, "uses": 1, "group": 0}
    world = World(door, 0)
    world.order(0, card)
    world.order(1, {**card, "group": 1})
    world.deliver()
    world.connect(True)
    world.synchronise()
    world.lock_down(True)
    world.reset()
    world.tap(0)
    assert world.records[0] == (record.REFUSED, record.LOCKED_DOWN)
    world.tap(1)
    assert world.records[0][0] == record.GRANTED
    world.connect(True)
    world.lock_down(False)
    world.power_cut()
    world.tap(0)
    assert world.records[0][0] == record.GRANTED

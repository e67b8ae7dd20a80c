"""One fault at a time, at a whole door over TLS with real mosquitto and upstream in a process of its own."""

import asyncio
import json
import shutil
from collections import Counter

import aiomqtt
import pytest
from chaos import Faults
from system.faulty_site import DAY_S, DOOR, SITE, Site
from system.oracle_faults import Database, check_events, pseudonym, read
from tls_site import future, needs_mosquitto, past

from menwei.epoch import UNIX_2020
from menwei.flashmap import board_region
from menwei.pki import END, server_name

pytestmark = needs_mosquitto

START = 1_796_112_000
UID, OTHER = "04112233445566", "04665544332211"
GRANTED, REFUSED, COMMAND, COMMAND_REFUSED = 2, 3, 11, 12
ALARM, LIST, GAP = 8, 13, 15
EXPIRED, CANCELLED, UNKNOWN = 3, 5, 1
INTRUSION = 25
GIVEN_UP, NOT_STORED = 1, 2
SET_TIME = "cmd 2"
SLOT = 32
MONTHS_DAYS, AGED, FEW = 240, 18_000, 10
CLASSES = (REFUSED, UNKNOWN), (REFUSED, EXPIRED), (GRANTED, 0)  # a record of each class: the lowest is given up first


def change(site, operation, uid, until=0xFFFFFF):
    """A change of the list as docs/protocol.md has it."""
    name = pseudonym(site.door_key, uid)
    return (bytes((operation,)) + name + bytes(3) + until.to_bytes(3, "little") + bytes(2)).hex()


def journal(site):
    regions = {name: board_region(name) for name in ("journal", "cards")}
    return read(site.door.flash, regions, site.journal_key)[0]


def database(site):
    return Database(site.upstream.database)


def kinds(site, *wanted):
    return [(record.kind, record.reason) for record in journal(site).records if record.kind in wanted]


async def until(site, condition, most_s=1800):
    """Let time pass until it is so; the time it took."""
    for waited in range(0, most_s, 10):
        if condition():
            return waited
        await site.pass_time(10)
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come about\n" + site.door.tail(20))


def all_up(site):
    """Whether upstream has every record."""
    return lambda: len(database(site).events(DOOR)) == journal(site).head


async def alarms(site):
    """What upstream knows of the door's alarms."""
    return json.loads(database(site).rows("SELECT state FROM doors WHERE door = ?", DOOR)[0][0])["alarms"]


async def taps(site, count, uid=UID):
    for _ in range(count):
        await site.door.card(uid, 0.3)
        await site.pass_time(2)


async def lets_in(site, uid):
    """Show a card, and look whether the lock is released."""
    await site.door.card(uid, 0.3)
    await site.pass_time(1)
    released = bool((await site.door.state())["relay"])
    await site.pass_time(10)
    return released


async def test_a_broker_that_is_killed_with_messages_unacknowledged(tmp_path):
    async with Site(tmp_path, 1, START) as site:
        await until(site, all_up(site))
        site.wire.set(down=Faults(rate=200))  # the broker's PUBACKs are on their way
        await site.door.card(UID, 0.3)
        await site.pass_time(1)
        await site.broker.kill()
        await taps(site, 3)
        site.wire.set()
        await site.broker.start()
        await until(site, all_up(site))
        check_events(journal(site), database(site), DOOR)
        assert not database(site).findings()


async def test_a_database_that_is_full_acknowledges_nothing_it_has_not(tmp_path):
    async with Site(tmp_path, 2, START) as site:
        await until(site, lambda: len(database(site).events(DOOR)) > 1)
        await site.upstream.ask("change", door=DOOR, changes=[change(site, 1, UID)])
        await site.pass_time(120)
        await until(site, all_up(site))
        await site.upstream.ask("room", pages=1)  # of what it has: sqlite never goes below that
        await taps(site, 50)  # granted: refusals would be counted together
        stored = database(site).events(DOOR)
        assert len(stored) < journal(site).head, "the disk was not full"
        assert journal(site).acked <= stored[-1][1]
        await site.upstream.ask("room", pages=100_000)
        await until(site, all_up(site))
        check_events(journal(site), database(site), DOOR)
        assert not database(site).findings()


@pytest.mark.parametrize("kind", ["foreign", "expired"])
async def test_a_door_with_a_wrong_certificate_works_without_a_link(tmp_path, kind):
    def certificate(tls_site, key):
        if kind == "foreign":
            return tls_site.foreign().door(DOOR)
        return tls_site.door(DOOR, key=key, end=past(days=1))

    async with Site(tmp_path, 3, START, certificate=certificate) as site:
        await site.pass_time(1800)
        await taps(site, 1)
        assert not (await site.upstream.ask("status", door=DOOR))["session"]
        assert not database(site).events(DOOR)
        assert kinds(site, REFUSED) == [(REFUSED, UNKNOWN)]
        assert site.wire.forwarded, "it did not even try"


async def test_a_cloned_door_is_found_and_nothing_is_lost(tmp_path):
    """The flash is copied while the door is off; then both go on, one after the other."""
    async with Site(tmp_path, 4, START) as site:
        await until(site, all_up(site))
        await site.door.cut()
        await site.door.ended()
        clone = tmp_path / "clone.img"
        shutil.copy(site.door.flash, clone)
        await site.revive(after_s=60)
        await taps(site, 5)
        await until(site, all_up(site))
        one = {(record.seq, record.raw) for record in journal(site).records}
        await site.door.cut()
        await site.door.ended()
        shutil.copy(clone, site.door.flash)
        await site.revive(after_s=60)
        await taps(site, 4, OTHER)
        both = "SELECT (SELECT count(*) FROM apart) + (SELECT count(*) FROM damaged)"
        await until(site, lambda: database(site).rows(both)[0][0] >= 3)
        await site.pass_time(60)
        two = {(record.seq, record.raw) for record in journal(site).records}
        stored = {(seq, bytes(raw)) for _, seq, raw in database(site).events(DOOR)}
        apart = {(seq, bytes(raw)) for seq, raw in database(site).rows("SELECT seq, raw FROM apart")}
        assert one <= stored, "the first one's records are no longer what they were"
        newest = max(two)
        assert two - {newest} <= stored | apart
        assert "fork" in {kind for kind, *_ in database(site).findings()}


async def test_an_attacker_with_another_doors_certificate_is_not_heard(tmp_path):
    async with Site(tmp_path, 5, START) as site:
        await until(site, all_up(site))
        forged = bytes((1, 1)) + bytes(70)
        other = site.tls_site.context(site.tls_site.door("other"))
        async with aiomqtt.Client("127.0.0.1", site.broker.port, tls_context=other, timeout=2) as client:
            await client.publish(f"menwei/v1/{SITE}/{DOOR}/cmd", forged, qos=1)
            await client.publish(f"menwei/v1/{SITE}/{DOOR}/event", forged, qos=1)
        await site.pass_time(30)
        assert not kinds(site, COMMAND, COMMAND_REFUSED) and not database(site).findings()
        # The same at a broker that lets everybody in: the door refuses, and so does upstream.
        async with aiomqtt.Client("127.0.0.1", site.broker.plain_port) as client:
            await client.publish(f"menwei/v1/{SITE}/{DOOR}/cmd", forged, qos=1)
            await client.publish(f"menwei/v1/{SITE}/{DOOR}/event", forged, qos=1)
        await site.pass_time(30)
        assert kinds(site, COMMAND, COMMAND_REFUSED)[0] == (COMMAND_REFUSED, 1)
        assert not kinds(site, COMMAND)
        assert kinds(site, ALARM) == [(ALARM, INTRUSION)]
        await until(site, all_up(site))
        assert (site.epoch.hex(), journal(site).head) == database(site).events(DOOR)[-1][:2]
        assert INTRUSION in await alarms(site)
        assert "refused message" in {kind for kind, *_ in database(site).findings()}


async def test_a_retained_command_is_refused_at_each_connection(tmp_path):
    async with Site(tmp_path, 6, START) as site:
        await until(site, all_up(site))
        people = {"operator": 7, "approver": 8, "reason": 3}
        *_, raw = await site.upstream.ask("order", door=DOOR, operation=1, argument=0, deadline_s=30, **people)
        await site.pass_time(10)
        assert kinds(site, COMMAND) == [(COMMAND, 1)]
        async with aiomqtt.Client("127.0.0.1", site.broker.plain_port) as client:
            await client.publish(f"menwei/v1/{SITE}/{DOOR}/cmd", bytes.fromhex(raw), qos=1, retain=True)
        await site.pass_time(10)
        site.wire.cut_now()
        await until(site, lambda: (COMMAND_REFUSED, 7) in kinds(site, COMMAND_REFUSED))
        assert kinds(site, COMMAND) == [(COMMAND, 1)]


async def test_eight_months_offline(tmp_path):
    """The journal overflows by class and says so, cards end by themselves, and what was cancelled dies first of all.

    The months are written into the flash while the power is off; so the door's clock stands at its floor afterwards.
    """
    async with Site(tmp_path, 7, START) as site:
        ends = (START - UNIX_2020 + 30 * DAY_S) // 60
        await until(site, lambda: len(database(site).events(DOOR)) > 1)
        await site.upstream.ask("change", door=DOOR, changes=[change(site, 1, UID), change(site, 1, OTHER, ends)])
        await until(site, lambda: kinds(site, LIST) and all_up(site)())
        before = journal(site).head
        await site.network(False)
        await taps(site, 1)
        await taps(site, 1, OTHER)
        assert kinds(site, GRANTED, REFUSED) == [(GRANTED, 0)] * 2
        await site.upstream.ask("change", door=DOOR, changes=[change(site, 3, UID)])
        made = await site.age(
            MONTHS_DAYS, AGED, [(*kind, share) for kind, share in zip(CLASSES, (3, 1, 6), strict=True)]
        )
        await site.pass_time(30)
        # What is refused is only counted in a full journal: here the relay tells.
        assert [await lets_in(site, uid) for uid in (UID, OTHER)] == [True, False]
        async with Onlooker(site) as onlooker:
            await site.network(True)
            back = await onlooker.until(site, lambda: onlooker.states)
            dead = await onlooker.until(site, lambda: onlooker.states[-1]["list"][1] == 3)
            assert dead - back <= 2, f"{dead - back} s"
            # Until then the door has heard nothing that could open it, nor anything that comes from people.
            assert onlooker.downward and set(onlooker.downward) <= {"event/ack", SET_TIME, "list"}
        assert not await lets_in(site, UID)
        await until(site, all_that_is_left_up(site), 3 * 3600)
        await taps(site, 1)
        await taps(site, 1, OTHER)
        assert kinds(site, GRANTED, REFUSED)[-2:] == [(REFUSED, CANCELLED), (REFUSED, EXPIRED)]
        await until(site, all_that_is_left_up(site))
        check_overflow(site, before, made)


def all_that_is_left_up(site):
    head = journal(site).head

    def is_up():
        # To read a whole journal takes long.
        newest = database(site).rows("SELECT max(seq) FROM events")[0][0]
        return newest >= head and newest == journal(site).head

    return is_up


def check_overflow(site, before, made):
    """What was made is upstream, or counted as lost there, class by class; and the gap is told."""
    events = {row[0]: row[1:] for row in database(site).rows("SELECT seq, kind, reason, pseudonym, raw FROM events")}
    assert all(bytes(events[record.seq][3]) == record.raw for record in journal(site).records)
    lost = {GIVEN_UP: [0, 0, 0], NOT_STORED: [0, 0, 0]}
    there = Counter()
    for kind, reason, name, raw in events.values():
        if kind == GAP:
            for index in range(3):
                at = SLOT + 1 + 8 + 4 * index  # docs/flash-formats.md, the payload of a gap
                lost[reason][index] += int.from_bytes(raw[at : at + 4], "little")
        elif bytes.fromhex(name).startswith(b"aged"):
            there[kind, reason] += 1
    print("made", made, "there", there, "lost", lost)
    # Not stored: strangers first, then the middle class. What counts pushed out what was oldest.
    assert lost[NOT_STORED][0] > lost[NOT_STORED][1] > 0 and not lost[NOT_STORED][2] and sum(lost[GIVEN_UP])
    # What the door itself recorded before and after is counted with them.
    for index, kind in enumerate(CLASSES):
        assert 0 <= there[kind] + lost[NOT_STORED][index] + lost[GIVEN_UP][index] - made[index] <= FEW, index
    oldest = min(seq for seq in events if seq > before + 1)
    gaps = [text for kind, text, _ in database(site).findings() if kind == "gap"]
    assert len(gaps) == 1 and f" to {oldest - 1} are gone" in gaps[0], gaps
    assert {kind for kind, *_ in database(site).findings()} == {"gap"}
    assert sorted(events) == [*range(1, before + 1), *range(oldest, journal(site).head + 1)]


class Onlooker:
    """Hears all of a door's topics at a listener that lets everybody in, until the door says its state again."""

    def __init__(self, site):
        self.states, self.downward = [], []
        self._client = aiomqtt.Client("127.0.0.1", site.broker.plain_port)

    async def __aenter__(self):
        await self._client.__aenter__()
        await self._client.subscribe(f"menwei/v1/{SITE}/{DOOR}/#", qos=1)
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *error):
        self._task.cancel()
        await self._client.__aexit__(*error)

    async def _listen(self):
        async for message in self._client.messages:
            leaf = str(message.topic).split("/", 4)[4]
            if message.retain:
                continue
            if leaf == "state":
                state = json.loads(message.payload.partition(b"\n")[0])
                if state["online"]:
                    self.states.append(state)
            elif leaf in ("event/ack", "list", "parcel"):
                self.downward.append(leaf)
            elif leaf == "cmd":
                self.downward.append(f"cmd {message.payload[1]}")

    async def until(self, site, condition, most_s=900):
        """Let time pass, never faster than the wire, until it is so; the door's time then."""
        for _ in range(4 * most_s):
            if condition():
                return site.door.unix
            await site.pass_time(0.25, pace=8)
        raise AssertionError("it did not come about\n" + site.door.tail(20))


async def test_a_server_certificate_that_is_newer_than_the_door(tmp_path):
    """It is not taken, and the door works on; the one that `menwei pki` makes is."""
    async with Site(tmp_path, 8, START) as site:
        await until(site, all_up(site))
        good = site.tls_site.pki.folder / "server.pem"
        kept = [(path, path.read_bytes()) for path in (good, good.with_suffix(".key"))]
        server_that_begins(site.tls_site.pki, future(days=1))
        await site.broker.kill()
        await site.broker.start()
        head = journal(site).acked
        await site.pass_time(600)
        await taps(site, 1)
        assert kinds(site, REFUSED) == [(REFUSED, UNKNOWN)]
        assert journal(site).acked == head, "the door took a certificate that is not valid yet"
        assert site.wire.forwarded
        for path, data in kept:
            path.write_bytes(data)
        await site.broker.kill()
        await site.broker.start()
        await until(site, all_up(site))
        check_events(journal(site), database(site), DOOR)
        assert not database(site).findings()


def server_that_begins(pki, start):
    """Show a server's certificate that `menwei pki` never makes."""
    path = pki.folder / "server.pem"
    made = pki._to_files("server", "127.0.0.1", "early", [server_name("127.0.0.1")], start, END)
    for suffix in (".pem", ".key"):
        shutil.copy(made.with_suffix(suffix), path.with_suffix(suffix))

"""One fault at a time, at a whole door over TLS with real mosquitto and upstream in a process of its own."""

import asyncio
import os
import shutil

import aiomqtt
import pytest
from chaos import Faults
from system.faulty_site import DOOR, SITE, Site
from system.oracle_faults import Database, check_events, pseudonym, read
from tls_site import TlsSite, needs_mosquitto, past

from menwei.epoch import UNIX_2020
from menwei.flashmap import board_region

pytestmark = needs_mosquitto

START = 1_796_112_000
UID, OTHER = "04112233445566", "04665544332211"
GRANTED, REFUSED, COMMAND, COMMAND_REFUSED = 2, 3, 11, 12
EXPIRED, CANCELLED, UNKNOWN = 3, 5, 1
DAY_S = 86_400


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


async def taps(site, count, uid=UID):
    for _ in range(count):
        await site.door.card(uid, 0.3)
        await site.pass_time(2)


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
    other = TlsSite(tmp_path / "other", SITE)
    certificate = (other.foreign() if kind == "foreign" else other).door(DOOR, end=past(days=1))
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


@pytest.mark.skipif(not os.getenv("FAULT_LONG"), reason="takes longer than a minute: FAULT_LONG=1")
async def test_eight_months_offline(tmp_path):
    """Cards end by themselves; what was cancelled meanwhile is dead two seconds after the door is back."""
    async with Site(tmp_path, 7, START) as site:
        ends = (START - UNIX_2020 + 30 * DAY_S) // 60
        await until(site, lambda: len(database(site).events(DOOR)) > 1)
        await site.upstream.ask("change", door=DOOR, changes=[change(site, 1, UID), change(site, 1, OTHER, ends)])
        await until(site, all_up(site))
        await site.network(False)
        await taps(site, 1)
        await taps(site, 1, OTHER)
        await site.upstream.ask("change", door=DOOR, changes=[change(site, 3, UID)])
        await site.pass_time(240 * DAY_S, nap=39_000)
        await taps(site, 1)
        await taps(site, 1, OTHER)
        assert kinds(site, GRANTED, REFUSED) == [(GRANTED, 0)] * 3 + [(REFUSED, EXPIRED)]
        await site.network(True)
        session = None
        for _ in range(3000):
            await site.pass_time(0.5, pace=10)
            if session is None and "list   updated revision=3" in site.door.tail(8):
                session = site.door.unix
                break
        assert session, site.door.tail()
        await taps(site, 1)
        assert kinds(site, GRANTED, REFUSED)[-1] == (REFUSED, CANCELLED)
        await until(site, all_up(site), 3 * 3600)
        check_events(journal(site), database(site), DOOR)

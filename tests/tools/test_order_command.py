"""Orders from the monitor room: what is sent, and what people are told."""

import asyncio

import pytest
from tls_site import TlsSite
from typer.testing import CliRunner
from upstream_world import DOOR, WAIT_S

from menwei import deliver, ordercli
from menwei.broker import EmbeddedBroker
from menwei.build import ROOT
from menwei.cli import app
from menwei.names import OPERATIONS, RESULTS
from menwei.ordercli import ORDERS, WORDS, check
from menwei.orders import APPROVED
from sync import downlink, messages


async def test_each_order_carries_its_argument(world):
    await world.join()
    people = {"operator": 7, "approver": 8, "reason": 3}
    upstream = world.upstream
    for order, operation, argument in (
        (upstream.unlock(DOOR, 30, **people), messages.OP_UNLOCK, 30),
        (upstream.lock_down(DOOR, True, **people), messages.OP_LOCK_DOWN, 1),
        (upstream.lock_down(DOOR, False, **people), messages.OP_LOCK_DOWN, 0),
        (upstream.maintenance(DOOR, 600, **people), messages.OP_MAINTENANCE, 600),
        (upstream.prop(DOOR, 60, **people), messages.OP_PROP, 60),
        (upstream.mute(DOOR, 50, **people), messages.OP_MUTE, 50),
        (upstream.self_test(DOOR, **people), messages.OP_SELF_TEST, 0),
        (upstream.restart(DOOR, **people), messages.OP_RESTART, 0),
        (upstream.collect(DOOR, 77, **people), messages.OP_COLLECT, 77),
        (upstream.apply_parcel(DOOR, 5, **people), messages.OP_APPLY, 5),
        (upstream.drop_door_key(DOOR, **people), messages.OP_DROP_DOOR_KEY, 0),
    ):
        command = await order
        await command.wait(WAIT_S)
        got, _ = await world.door.next_command()
        assert (got.operation, got.argument, got.operator, got.approver) == (operation, argument, 7, 8)
        assert (got.reason, got.approved) == (3, True)


def test_what_needs_two_persons_is_the_same_on_both_sides():
    assert set(APPROVED) == set(downlink._APPROVED)


def test_every_result_has_words_and_a_row_of_the_page():
    assert set(WORDS) == set(RESULTS)
    page = (ROOT / "docs" / "commands.md").read_text()
    for number, name in RESULTS.items():
        assert f"| {number} | {name.replace('_', ' ')} |" in page
    for name in ORDERS:
        assert f"| `{name}` |" in page
    assert {operation for operation, *_ in ORDERS.values()} | {2, 3, 4} == set(OPERATIONS)


@pytest.mark.parametrize(
    ("name", "argument", "approver", "text"),
    [
        ("open", 0, 8, "is no order"),
        ("unlock", 3601, 8, "0 to 3,600"),
        ("unlock", 0, 0, "two persons"),
        ("unlock", 0, 7, "two persons"),
        ("prop", 60, 0, "two persons"),
        ("restart", 5, 0, "takes no argument"),
        ("maintenance", 28_801, 0, "0 to 28,800"),
        ("collect", 0, 0, "1 to"),
    ],
)
def test_what_a_door_would_refuse_is_not_sent(name, argument, approver, text):
    with pytest.raises(ValueError, match=text):
        check(name, argument, 7, approver)


async def test_from_the_command_line(world, tmp_path):
    await world.join()
    world.keys.save(tmp_path / "keys.json")
    words = ["--broker", f"mqtt://127.0.0.1:{world.port}", "--keys", str(tmp_path / "keys.json")]
    words += ["--db", str(tmp_path / "upstream.db"), "--operator", "7"]

    async def run(*more):
        return await asyncio.to_thread(CliRunner().invoke, app, ["order", DOOR, *more, *words])

    async def next_order():
        # Nothing else comes with it, no time above all: a door carries out eight orders at once, and counts them all.
        got, _ = await world.door.next_command()
        assert world.door.commands.empty()
        return got

    done = await run("unlock", "--for", "30", "--approver", "8", "--reason", "3")
    assert (done.exit_code, done.output) == (0, f"{DOOR}: done\n")
    got = await next_order()
    assert (got.operation, got.argument, got.reason, got.approved) == (messages.OP_UNLOCK, 30, 3, True)
    done = await run("release")
    got = await next_order()
    assert (done.exit_code, got.operation, got.argument) == (0, messages.OP_LOCK_DOWN, 0)
    done = await run("prop", "--for", "30")
    assert (done.exit_code, "two persons" in done.output) == (1, True)


@pytest.mark.parametrize("command", [["order", DOOR, "release"], ["parcel", DOOR, "--approver", "8", "--settings"]])
async def test_over_tls_or_not_at_all(tmp_path, monkeypatch, command):
    """Upstream's listener speaks TLS only: a URL that says so is never spoken to without."""
    for module in (ordercli, deliver):
        monkeypatch.setattr(module, "_PRESENT_S", 1)
    site = TlsSite(tmp_path)
    site.door(DOOR, key=bytes(32))
    site.keys.save(tmp_path / "keys.json")
    (tmp_path / "settings.json").write_text('{"open_s": 6}')
    if command[0] == "parcel":
        command = [*command, str(tmp_path / "settings.json")]
    async with EmbeddedBroker(tls=site.pki.folder) as broker:
        words = [*command, "--operator", "7", "--broker", broker.url]
        words += ["--keys", str(tmp_path / "keys.json"), "--db", str(tmp_path / "upstream.db")]

        async def run(*more):
            return await asyncio.to_thread(CliRunner().invoke, app, [*words, *more])

        with_it, without = await run("--pki", str(site.pki.folder)), await run()
    assert (without.exit_code, "needs certificates: give --pki" in without.output.replace("\n", " ")) == (1, True)
    assert (with_it.exit_code, "not connected" in with_it.output) == (1, True)  # the broker took it; no door is there

"""Orders to one door from the command line: `menwei order` (docs/commands.md).

result, text = await place(url, keys, store, "front-gate", "unlock", 0, operator=7, approver=8, reason=3)
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from menwei import tlscli
from menwei.keyfile import KeyFile
from menwei.names import RESULTS
from menwei.orders import APPROVED
from menwei.store import Store
from menwei.tls import Credentials, endpoint
from menwei.upstream import Upstream
from sync import messages

_PRESENT_S = 10
_ANSWER_S = 10
_COLLECT_S = 15  # 1,024 records in batches of 32, five batches a second
_DAY_S, _SHIFT_S, _HOUR_S, _LARGEST = 86_400, 28_800, 3_600, (1 << 30) - 1
# Name: operation, least and most of the argument, what the argument is.
ORDERS: dict[str, tuple[int, int, int, str]] = {
    "unlock": (messages.OP_UNLOCK, 0, _HOUR_S, "seconds for which it stays unlocked, 0 for once"),
    "lock-down": (messages.OP_LOCK_DOWN, 1, 1, ""),
    "release": (messages.OP_LOCK_DOWN, 0, 0, ""),
    "maintenance": (messages.OP_MAINTENANCE, 0, _SHIFT_S, "seconds, 0 ends it"),
    "prop": (messages.OP_PROP, 0, _DAY_S, "seconds, 0 ends it"),
    "mute": (messages.OP_MUTE, 0, _DAY_S, "seconds"),
    "self-test": (messages.OP_SELF_TEST, 0, 0, ""),
    "restart": (messages.OP_RESTART, 0, 0, ""),
    "collect": (messages.OP_COLLECT, 1, _LARGEST, "number of the first record that is to be sent again"),
    "ask-reset": (messages.OP_ASK_RESET, 0, 0, ""),
    "apply": (messages.OP_APPLY, 1, _LARGEST, "number of the parcel"),
    "drop-door-key": (messages.OP_DROP_DOOR_KEY, 0, 0, ""),
}
WORDS: dict[int, str] = {
    messages.DONE: "done",
    messages.WRONG_MAC: "the door does not know this key: its key in the key file is another one than the door has",
    messages.WRONG_SESSION: "the door has connected anew meanwhile: order again",
    messages.REPLAYED: "the door had this number already: name the database of menwei listen (--db), order again",
    messages.TOO_LATE: "it came too late and was not carried out: order again",
    messages.NOT_APPROVED: "it needs a second person: name an approver",
    messages.UNKNOWN_OPERATION: "the door's software does not know this order: update it",
    messages.RETAINED: "the broker kept it, which no door accepts: look who publishes on this door's topics",
    messages.MALFORMED: "the door could not read it: its software and this one do not fit",
    messages.REFUSED_BY_DOOR: "the state of the door forbids it, or its journal cannot be written: docs/commands.md",
    messages.DOUBTED: "the door doubts this time: send it again in ten minutes",
    messages.BUSY: "the door was given more orders than it carries out: wait 5 s, order again, look who sends so many",
}


def check(name: str, argument: int, operator: int, approver: int) -> None:
    """Refuse what a door would refuse anyhow.

    Raises:
        ValueError: with what to do.
    """
    if name not in ORDERS:
        raise ValueError(f"{name} is no order; there are {', '.join(ORDERS)}")
    operation, least, most, meaning = ORDERS[name]
    if not least <= argument <= most and meaning:
        raise ValueError(f"{name}: the argument is {meaning}: {least:,} to {most:,}")
    if not meaning and argument:
        raise ValueError(f"{name} takes no argument")
    if operation in APPROVED and approver in (0, operator):
        raise ValueError(f"{name} needs two persons: name an approver who is not the operator")


async def place(
    broker: str,
    keys: KeyFile,
    store: Store,
    door: str,
    name: str,
    argument: int,
    *,
    operator: int,
    approver: int = 0,
    reason: int = 0,
    tls: Credentials | None = None,
) -> tuple[int | None, str]:
    """Send one order to a door that is connected; return its result number, or None, and what that means.

    Raises:
        ValueError: the key file does not know the door, or `check` refuses.
    """
    if door not in keys.doors:
        raise ValueError(f"{door} is not in the key file: it has {', '.join(keys.doors)}")
    check(name, argument, operator, approver)
    operation, least, _, meaning = ORDERS[name]
    host, port, context = endpoint(broker, tls)
    got: set[tuple[str, int]] = set()
    calls = {"on_event": lambda event: got.add((event.epoch, event.seq))}
    upstream = Upstream(host, port, keys, store, tls=context, serves=False, **calls)
    await upstream.start()
    try:
        for _ in range(10 * _PRESENT_S):  # its state is kept by the broker, and comes at once if the door is there
            if door in upstream.sessions:
                break
            await asyncio.sleep(0.1)
        else:
            return None, "not connected: a command cannot wait for a door, try again later"
        argument = argument if meaning else least
        command = await upstream.order(door, operation, argument, operator=operator, approver=approver, reason=reason)
        result = await command.wait(_ANSWER_S)
        if result is None:
            return None, "no answer: look at the door's records whether it was carried out before you order again"
        text = WORDS.get(result, RESULTS.get(result, str(result)))
        if name == "collect" and result == messages.DONE:
            await asyncio.sleep(_COLLECT_S)
            text += f"; {len(got)} records came that were not stored before"
        return result, text
    finally:
        await upstream.stop()


def order(
    door: Annotated[str, typer.Argument(help="Name of the door.")],
    name: Annotated[str, typer.Argument(metavar="ORDER", help=", ".join(ORDERS))],
    broker: tlscli.Broker,
    keys: Annotated[Path, typer.Option(help="Key file of the doors (mode 0600).")],
    operator: Annotated[int, typer.Option(help="Who orders it, a number.")],
    approver: Annotated[int, typer.Option(help="Who agreed to it, another number, where two persons are needed.")] = 0,
    reason: Annotated[int, typer.Option(help="Why, a number of the site.")] = 0,
    argument: Annotated[int, typer.Option("--for", "--from", "--number", help="Seconds, first record, parcel.")] = 0,
    db: Annotated[Path, typer.Option(help="Database of menwei listen.")] = Path("upstream.db"),
    ca: tlscli.Ca = None,
    cert: tlscli.Cert = None,
    key: tlscli.Key = None,
    pki: tlscli.Folder = None,
) -> None:
    """Order something at a door that is connected, and tell what came of it (docs/commands.md)."""
    console = Console()
    tls = tlscli.credentials(ca, cert, key, pki)
    try:
        doors, store = KeyFile.load(keys), Store(db)
        try:
            people = {"operator": operator, "approver": approver, "reason": reason}
            placing = place(broker, doors, store, door, name, argument, **people, tls=tls)
            result, text = asyncio.run(placing)
        finally:
            store.close()
    except (OSError, ValueError) as error:
        console.print(str(error), markup=False, style="red")
        raise typer.Exit(1) from error
    console.print(f"{door}: {text}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(0 if result == messages.DONE else 1)

"""`menwei card`: the card office's commands."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from menwei import cardoffice, tlscli
from menwei.cardkeys import KINDS, CardKeyError, CardKeyFile, door_version
from menwei.cardregister import Register, day
from menwei.cardwriter import CardError, writer_for
from menwei.desk import DeskError, SerialDesk
from menwei.ev2host import Ev2Error
from menwei.keyfile import KeyFile
from menwei.store import Store

app = typer.Typer(no_args_is_help=True, help="Write, check, re-key and reset cards with a board in desk mode.")
keys_app = typer.Typer(no_args_is_help=True, help="The key file of the card office.")
app.add_typer(keys_app, name="keys")

Port = Annotated[
    str, typer.Option(help="Serial port of the desk: a device, rfc2217://HOST:PORT or socket://HOST:PORT.")
]
Keys = Annotated[Path, typer.Option(help="Card key file (mode 0600).")]
Community = Annotated[str, typer.Option(help="Community, a-z, 0-9 and -.")]
Kind = Annotated[str, typer.Option(help="uid, classic, ntag424 or desfire.")]
RegisterFile = Annotated[Path, typer.Option("--register", help="Register of cards.")]
Wait = Annotated[float, typer.Option(help="Seconds to wait for a card.")]
Number = Annotated[int | None, typer.Option(help="Key number or sector; it must be the one of the key file.")]
_KEYS = Path("card-keys.json")
_REGISTER = Path("cards.db")


@contextmanager
def _plain_words() -> Iterator[None]:
    """Turn what can go wrong into one sentence and exit code 1. No message holds a key."""
    try:
        yield
    except FileNotFoundError as error:
        _fail(f"there is no file {error.filename}; make a key file with: menwei card keys init")
    except FileExistsError as error:
        _fail(f"{error.filename} is there already and is not replaced")
    except (CardError, CardKeyError, DeskError, PermissionError, ValueError) as error:
        _fail(str(error))
    except Ev2Error as error:
        _fail(f"the card refused: {error}; run the same command again, or reset the card")
    except sqlite3.Error as error:
        _fail(f"the register cannot be written ({error}); end the program that uses it, then run: menwei card check")
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error) or type(error).__name__)


def _fail(text: str) -> None:
    typer.echo(text, err=True)
    raise typer.Exit(1)


def _kind(name: str) -> str:
    if name not in KINDS:
        raise typer.BadParameter(f"{name}: kinds are {', '.join(KINDS)}")
    return name


def _work(
    action: str, kind: str, community: str, number: int | None, keys: Path, port: str, register: Path, wait: float,
    dry: bool = False,
) -> None:  # fmt: skip
    kind = _kind(kind)
    with _plain_words():
        entry = cardoffice.entry_of(None if kind == "uid" else CardKeyFile.load(keys), community, kind, number)
        with Register(register) as book, SerialDesk.open(port) as desk:
            card = desk.card(wait)
            typer.echo(f"card {card.uid.hex().upper()}")
            writer = writer_for(desk, card, kind, entry)
            if dry:
                for sentence in writer.plan(action):
                    typer.echo(f"  {sentence}")
                return
            outcome = cardoffice.act(action, writer, card, kind, community, entry, book)
        for sentence in outcome.done:
            typer.echo(f"  {sentence}")
        if outcome.counter is not None:
            typer.echo(f"  passages counted: {outcome.counter}")
        for warning in outcome.warnings:
            typer.echo(f"  warning: {warning}")


@app.command()
def write(
    port: Port, community: Community, kind: Kind, number: Number = None, keys: Keys = _KEYS,
    register: RegisterFile = _REGISTER, wait: Wait = 10,
    plan: Annotated[bool, typer.Option("--plan", help="Only tell what would be done.")] = False,
) -> None:  # fmt: skip
    """Write a blank card, or finish one that was interrupted. Of a uid card only the UID is enrolled."""
    _work("write", kind, community, number, keys, port, register, wait, plan)


@app.command()
def check(
    port: Port, community: Community, kind: Kind, number: Number = None, keys: Keys = _KEYS,
    register: RegisterFile = _REGISTER, wait: Wait = 10,
) -> None:  # fmt: skip
    """Try both keys of a card and tell its version."""
    _work("check", kind, community, number, keys, port, register, wait)


@app.command()
def rekey(
    port: Port, community: Community, kind: Kind, number: Number = None, keys: Keys = _KEYS,
    register: RegisterFile = _REGISTER, wait: Wait = 10,
    plan: Annotated[bool, typer.Option("--plan", help="Only tell what would be done.")] = False,
) -> None:  # fmt: skip
    """Bring a card of an older key version to the current one."""
    _work("rekey", kind, community, number, keys, port, register, wait, plan)


@app.command()
def reset(
    port: Port, community: Community, kind: Kind, number: Number = None, keys: Keys = _KEYS,
    register: RegisterFile = _REGISTER, wait: Wait = 10,
    plan: Annotated[bool, typer.Option("--plan", help="Only tell what would be done.")] = False,
) -> None:  # fmt: skip
    """Put a card back to the factory's keys."""
    _work("reset", kind, community, number, keys, port, register, wait, plan)


@app.command()
def read(port: Port, register: RegisterFile = _REGISTER, wait: Wait = 10) -> None:
    """Tell what can be told of a card without a key."""
    with _plain_words():
        with SerialDesk.open(port) as desk:
            card = desk.card(wait)
            told = cardoffice.describe(desk, card)
        typer.echo(f"card {card.uid.hex().upper()}  SAK {card.sak:02X}  ATQA {card.atqa:04X}")
        for sentence in told:
            typer.echo(f"  {sentence}")
        if register.exists():
            with Register(register) as book:
                for row in book.rows():
                    if row.uid == card.uid.hex():
                        typer.echo(f"  register: {row.kind} of {row.community}, {row.state}, version {row.version}")


@app.command("list")
def list_cards(
    register: RegisterFile = _REGISTER, community: Annotated[str | None, typer.Option(help="Only this one.")] = None
) -> None:
    """List the cards of the register. There are no names in it."""
    with _plain_words(), Register(_existing(register)) as book:
        for row in book.rows(community):
            counter = f"  passages {row.counter}" if row.counter is not None else ""
            magic = "  magic" if row.magic else ""
            typer.echo(
                f"{row.uid.upper():<14}  {row.kind:<8} {row.community:<16} number {row.number:<2}  "
                f"version {row.version:<3}  {row.state:<8} {day(row.last_at)}{counter}{magic}"
            )


@app.command()
def versions(
    register: RegisterFile = _REGISTER, community: Annotated[str | None, typer.Option(help="Only this one.")] = None
) -> None:
    """Count the cards on each key version: look here before an old version is dropped."""
    with _plain_words(), Register(_existing(register)) as book:
        for name, kind, version, state, count in book.versions(community):
            note = "  interrupted: on this or on the next version" if state == "begun" else ""
            typer.echo(f"{name:<16} {kind:<8} version {version:<3}  {count} cards{note}")


@app.command()
def forget(uid: Annotated[str, typer.Option(help="UID in hex digits.")], register: RegisterFile = _REGISTER) -> None:
    """Take a lost or destroyed card out of the register. Revoke it at the doors first."""
    with _plain_words(), Register(_existing(register)) as book:
        try:
            gone = book.forget(bytes.fromhex(uid))
        except ValueError:
            _fail(f"{uid} is no UID: it has 8 or 14 hex digits, as menwei card list shows them")
        if not gone:
            _fail("this UID is not in the register")
        typer.echo("forgotten; the doors do not know of it: a card that is to open no more must be revoked there")


def _existing(path: Path) -> Path:
    if not path.exists():
        raise CardError(f"there is no register {path} yet; it is made when the first card is written")
    return path


# Keys


@keys_app.command()
def init(keys: Keys = _KEYS) -> None:
    """Make a key file with a master secret. Keep a copy in a safe: without it no card can be changed any more."""
    with _plain_words():
        CardKeyFile.create(keys)
        typer.echo(f"{keys} was made; keep a copy in a safe, and never bring it to a door")


@keys_app.command("new")
def new_keys(
    community: Community, kind: Kind, keys: Keys = _KEYS,
    number: Annotated[int, typer.Option(help="Key number (ntag424 1-4, desfire 1-13) or sector (classic 1-15).")] = 1,
) -> None:  # fmt: skip
    """Begin version 1 of a community's keys of one kind."""
    with _plain_words():
        book = CardKeyFile.load(keys)
        book.add(community, _kind(kind), number)
        book.save()
        typer.echo(f"{community}: version 1 of {kind} keys, number {number}; bring them to its doors with: export-door")


@keys_app.command()
def rotate(
    community: Community, kind: Kind, keys: Keys = _KEYS,
    new_master: Annotated[bool, typer.Option("--new-master", help="Draw a new master secret first.")] = False,
) -> None:  # fmt: skip
    """Make the next version current; the one before it stays accepted until it is dropped."""
    with _plain_words():
        book = CardKeyFile.load(keys)
        if new_master:
            book.new_master()
        entry = book.rotate(community, _kind(kind))
        book.save()
        typer.echo(
            f"{community}: {kind} version {entry.current} is current, {entry.previous} is accepted; "
            "now export-door for every door, then re-key the cards"
        )


@keys_app.command()
def drop(
    community: Community, kind: Kind, keys: Keys = _KEYS, register: RegisterFile = _REGISTER,
    force: Annotated[bool, typer.Option("--force", help="Though cards are left that will open no more.")] = False,
) -> None:  # fmt: skip
    """Accept the previous version no more. Refused while the register knows cards that need it."""
    with _plain_words():
        book = CardKeyFile.load(keys)
        entry = book.kind(community, _kind(kind))
        left = cardoffice.left_on_previous(entry, register)
        if left and not force:
            _fail(f"{left} cards still need version {entry.previous}; re-key them, or drop it with --force")
        dropped = book.drop(community, kind)
        book.save()
        typer.echo(f"{community}: {kind} version {dropped} is dropped, {left} cards were left; now export-door again")


@keys_app.command("drop-at-doors")
def drop_at_doors(
    community: Community, kind: Kind, keys: Keys = _KEYS, register: RegisterFile = _REGISTER, *,
    broker: tlscli.Broker,
    door_keys: Annotated[Path, typer.Option(help="Key file of the doors (mode 0600).")],
    db: Annotated[Path, typer.Option(help="Database of menwei listen.")] = Path("upstream.db"),
    operator: Annotated[int, typer.Option(help="Who sends it, a number.")],
    approver: Annotated[int, typer.Option(help="Who agreed to it, a number.")],
    force: Annotated[bool, typer.Option("--force", help="Though cards are left that will open no more.")] = False,
    ca: tlscli.Ca = None, cert: tlscli.Cert = None, key: tlscli.Key = None, pki: tlscli.Folder = None,
) -> None:  # fmt: skip
    """Tell the doors of the key file to forget the previous version. Before `drop`, which the office does last."""
    from menwei.dropkeys import drop_at_doors as send

    tls = tlscli.credentials(ca, cert, key, pki)
    with _plain_words():
        entry = CardKeyFile.load(keys).kind(community, _kind(kind))
        if entry.previous is None:
            _fail(f"{community}: there is no previous version of {kind}")
        left = cardoffice.left_on_previous(entry, register)
        typer.echo(f"{left} cards still need version {entry.previous}")
        if left and not force:
            _fail("re-key them, or drop it with --force: they will open no more")
        doors, store = KeyFile.load(door_keys), Store(db)
        try:
            version = door_version(entry.previous)
            failed = asyncio.run(
                send(broker, doors, store, doors.doors, kind, version, operator=operator, approver=approver,
                     say=typer.echo, tls=tls)
            )  # fmt: skip
        finally:
            store.close()
        if failed:
            _fail(f"{len(failed)} of {len(doors.doors)} doors were not told: run it again when they are there")


@keys_app.command("export-door")
def export_door(
    community: Community, keys: Keys = _KEYS, *,
    out: Annotated[Path, typer.Option(help="provision.json to put the keys into, or a new file.")],
) -> None:  # fmt: skip
    """Put a community's read keys into a door's provisioning file. Its write keys stay here."""
    with _plain_words():
        count = cardoffice.export_door(CardKeyFile.load(keys), community, out)
        typer.echo(f"{out}: {count} card keys of {community}; delete the file when the door has taken it")


@keys_app.command()
def show(keys: Keys = _KEYS) -> None:
    """List communities, kinds and versions. No key is shown."""
    with _plain_words():
        book = CardKeyFile.load(keys)
        for community in book.communities:
            for entry in book.kinds(community):
                accepted = f", version {entry.previous} accepted" if entry.previous else ""
                typer.echo(
                    f"{community:<16} {entry.kind:<8} number {entry.number:<2}  version {entry.current}{accepted}"
                )

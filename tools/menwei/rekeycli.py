"""`menwei rekey`: a new key for a door, over the network (docs/door-key.md)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from menwei import tlscli
from menwei.cardregister import Register as Cards
from menwei.cardwriter import CardError
from menwei.rekey import Rekey
from menwei.store import Store

app = typer.Typer(no_args_is_help=True, help="A new key for a door, over the network, while its cards go on opening.")
console = Console()

Door = Annotated[str, typer.Argument(help="Name of the door.")]
Keys = Annotated[Path, typer.Option(help="Key file of the doors (mode 0600); it is written.")]
Register = Annotated[Path, typer.Option(help="Register of the card office: which cards stand behind the names.")]
Database = Annotated[Path, typer.Option(help="Database of menwei listen.")]
Operator = Annotated[int, typer.Option(help="Who does it, a number.")]
Approver = Annotated[int, typer.Option(help="Who agreed to it, another number.")]
Reason = Annotated[int, typer.Option(help="Why, a number of the site.")]
_CARDS, _DB = Path("cards.db"), Path("upstream.db")


def _say(text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _run(door: str, broker: str, keys: Path, register: Path, db: Path, tls, work) -> None:
    """Do `work` with the door's rotation; exit code 1 if it is not done, or cannot be."""
    try:
        if not register.exists():
            raise ValueError(f"{register} is not there: name the card office's register")
        with Cards(register) as book:
            cards = [(row.kind, bytes.fromhex(row.uid)) for row in book.rows()]
        store = Store(db)
        try:
            done = work(Rekey(broker, keys, store, door, cards, say=lambda text: _say(f"{door}: {text}"), tls=tls))
        finally:
            store.close()
    except (OSError, ValueError, CardError) as error:
        console.print(str(error), markup=False, style="red", soft_wrap=True)
        raise typer.Exit(1) from error
    raise typer.Exit(0 if done else 1)


@app.command()
def start(
    door: Door, broker: tlscli.Broker, keys: Keys, operator: Operator, approver: Approver,
    register: Register = _CARDS, db: Database = _DB, reason: Reason = 0,
    ca: tlscli.Ca = None, cert: tlscli.Cert = None, key: tlscli.Key = None, pki: tlscli.Folder = None,
) -> None:  # fmt: skip
    """Give the door a new key and its cards their new names. Broken off, or with cards missing: run it again."""
    people = {"operator": operator, "approver": approver, "reason": reason}
    tls = tlscli.credentials(ca, cert, key, pki)
    _run(door, broker, keys, register, db, tls, lambda rekey: asyncio.run(rekey.start(**people)))


@app.command()
def status(door: Door, keys: Keys, register: Register = _CARDS, db: Database = _DB) -> None:
    """Tell how far it is, and which cards hold it up."""

    def tell(rekey: Rekey) -> bool:
        for line in rekey.status():
            _say(f"{door}: {line}")
        return True

    _run(door, "", keys, register, db, None, tell)


@app.command()
def finish(
    door: Door, broker: tlscli.Broker, keys: Keys, operator: Operator, approver: Approver,
    register: Register = _CARDS, db: Database = _DB, reason: Reason = 0,
    ca: tlscli.Ca = None, cert: tlscli.Cert = None, key: tlscli.Key = None, pki: tlscli.Folder = None,
) -> None:  # fmt: skip
    """Have the door drop the old key. Refused while a card would be shut out by it."""
    people = {"operator": operator, "approver": approver, "reason": reason}
    tls = tlscli.credentials(ca, cert, key, pki)
    _run(door, broker, keys, register, db, tls, lambda rekey: asyncio.run(rekey.finish(**people)))

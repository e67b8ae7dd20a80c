"""`menwei parcel`: settings, card keys, a certificate or a Wi-Fi secret for a door, over the network."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from menwei import tlscli
from menwei.deliver import TAKEN, deliver
from menwei.keyfile import KeyFile
from menwei.store import Store
from menwei.tls import endpoint

console = Console()


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error


def content_of(settings: Path | None, card_keys: Path | None, tls: Path | None, wifi_secret: Path | None) -> dict:
    """What a parcel is to say.

    Args:
        settings: JSON object of the settings that change, or a file as provision.json, of which `settings` is taken.
        card_keys: JSON list, or a file as provision.json, as `menwei card keys export` writes it.
        tls: JSON object, or a file as provision.json.
        wifi_secret: text of one line.
    """
    content = {}
    for name, path in (("settings", settings), ("card_keys", card_keys), ("tls", tls)):
        if path is None:
            continue
        found = _read(path)
        content[name] = found[name] if isinstance(found, dict) and name in found else found
    if wifi_secret is not None:
        content["wifi_secret"] = wifi_secret.read_text().rstrip("\r\n")
    if not content:
        raise ValueError("nothing to send: name --settings, --card-keys, --tls or --wifi-secret")
    return content


def parcel(
    door: Annotated[str, typer.Argument(help="Name of the door.")],
    broker: tlscli.Broker,
    keys: Annotated[Path, typer.Option(help="Key file of the doors (mode 0600).")],
    operator: Annotated[int, typer.Option(help="Who sends it, a number.")],
    approver: Annotated[int, typer.Option(help="Who agreed to it, another number.")],
    settings: Annotated[Path | None, typer.Option(help="JSON with the settings that change.")] = None,
    card_keys: Annotated[Path | None, typer.Option(help="All card keys of the door (menwei card keys export).")] = None,
    certificate: Annotated[Path | None, typer.Option("--tls", help="JSON with a certificate for the door.")] = None,
    wifi_secret: Annotated[Path | None, typer.Option(help="File with the Wi-Fi secret, one line.")] = None,
    db: Annotated[Path, typer.Option(help="Database of menwei listen.")] = Path("upstream.db"),
    reason: Annotated[int, typer.Option(help="Why, a number of the site.")] = 0,
    ca: tlscli.Ca = None,
    cert: tlscli.Cert = None,
    key: tlscli.Key = None,
    pki: tlscli.Folder = None,
) -> None:
    """Change settings or keys of a door over the network; it restarts, and goes back if they cut it off."""
    tls = tlscli.credentials(ca, cert, key, pki)
    try:
        endpoint(broker, tls)
        content = content_of(settings, card_keys, certificate, wifi_secret)
        doors, store = KeyFile.load(keys), Store(db)
        try:
            people = {"operator": operator, "approver": approver, "reason": reason}
            work = deliver(broker, doors, store, door, content, **people, say=_say, tls=tls)
            said = asyncio.run(work)
        finally:
            store.close()
    except (OSError, ValueError) as error:
        console.print(str(error), markup=False, style="red")
        raise typer.Exit(1) from error
    _say(f"{door}: {said}")
    raise typer.Exit(0 if said == TAKEN else 1)


def _say(text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)

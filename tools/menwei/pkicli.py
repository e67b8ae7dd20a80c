"""`menwei pki`: a site's certificates."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from menwei.pki import CA, DOOR_DAYS, RENEW_DAYS, Entry, Pki, PkiError, split_name, write_new

app = typer.Typer(
    no_args_is_help=True, help="The site's own certificates: CA, broker, upstream, doors (docs/broker.md)."
)

Folder = Annotated[Path, typer.Option("--pki", help="Folder of the CA. Who reads it can be every door.")]
FileName = Annotated[str, typer.Option("--file", help="Name of the files, without .pem and .key.")]
_FOLDER = Path("pki")


@contextmanager
def plain_words() -> Iterator[None]:
    """Turn what can go wrong into one sentence and exit code 1. No message holds a key."""
    try:
        yield
    except FileExistsError as error:
        fail(str(error) if error.filename is None else f"{error.filename} is there already and is not replaced")
    except (PkiError, PermissionError, ValueError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))


def fail(text: str) -> None:
    """Say what is wrong, and end with 1."""
    typer.echo(text, err=True)
    raise typer.Exit(1)


@app.command()
def init(
    pki: Folder = _FOLDER,
    name: Annotated[str, typer.Option(help="Name of the CA, for people.")] = "menwei",
    crl_url: Annotated[
        str | None, typer.Option(help="http:// address at which EMQX fetches the list of revoked certificates.")
    ] = None,
) -> None:
    """Make the site's CA."""
    with plain_words():
        made = Pki.create(pki, name, crl_url)
        typer.echo(f"{made.folder}: the CA is made; keep a copy of the folder off this machine, encrypted")


@app.command()
def server(
    names: Annotated[list[str], typer.Argument(help="Host names and addresses by which doors and upstream reach it.")],
    pki: Folder = _FOLDER,
    file: FileName = "server",
) -> None:
    """Make a broker's certificate; it lives as long as the CA."""
    with plain_words():
        typer.echo(f"{Pki(pki).server(names, file)}: for {', '.join(names)}")


@app.command()
def upstream(pki: Folder = _FOLDER, file: FileName = "upstream") -> None:
    """Make the certificate of upstream's programs (menwei listen and others)."""
    with plain_words():
        typer.echo(f"{Pki(pki).upstream(file)}: for upstream")


@app.command()
def reader(pki: Folder = _FOLDER, file: FileName = "reader") -> None:
    """Make a certificate for programs of others, which read the public topics only."""
    with plain_words():
        typer.echo(f"{Pki(pki).reader(file)}: for readers of the public topics")


@app.command()
def door(
    name: Annotated[str, typer.Argument(help="SITE/DOOR, as garden/front-gate.")],
    out: Annotated[Path, typer.Option(help="provision.json of the door to put it into, or a new file.")],
    pki: Folder = _FOLDER,
    days: Annotated[int, typer.Option(help="How long it is valid.")] = DOOR_DAYS,
) -> None:
    """Make a door's certificate and put it into the door's provisioning file."""
    with plain_words():
        site_and_door = split_name(name)
        authority = Pki(pki)
        content = provision_of(out)
        if "tls" in content:
            fail(f"{out} has a certificate already and it is not replaced; name a new file")
        made = authority.door(*site_and_door, days)
        put_provision(out, {**content, "tls": made.provision()})
        typer.echo(
            f"{out}: {name}, serial {made.serial}, until {_day(authority.newest(name).end)}; "
            "delete the file when the door has taken it"
        )


def provision_of(path: Path) -> dict:
    """What a provisioning file holds; nothing if there is none."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise PkiError(f"{path} is no JSON file ({error})") from error
    if not isinstance(content, dict):
        raise PkiError(f"{path} is no provisioning file")
    return content


def put_provision(path: Path, content: dict) -> None:
    """Write a provisioning file as a whole and with mode 0600: there are keys in it."""
    text = json.dumps(content, indent=1).encode() + b"\n"
    if not path.exists():
        write_new(path, text)
        return
    fresh = path.with_name(path.name + ".new")
    write_new(fresh, text)
    fresh.replace(path)


@app.command()
def revoke(
    what: Annotated[str, typer.Argument(help="SITE/DOOR, upstream, a server's name, or a serial of menwei pki list.")],
    pki: Folder = _FOLDER,
) -> None:
    """Revoke certificates, and write the list of revoked ones; then give it to the broker and restart that."""
    with plain_words():
        authority = Pki(pki)
        gone = authority.revoke(what)
        for entry in gone:
            typer.echo(f"{entry.serial}  {entry.name} is revoked")
        if not gone:
            typer.echo(f"{what}: all certificates were revoked before")
        typer.echo(f"{authority.crl_path}: copy it to the broker and restart that: until then nothing changes")


@app.command()
def crl(pki: Folder = _FOLDER) -> None:
    """Write the list of revoked certificates anew, from the index."""
    with plain_words():
        authority = Pki(pki)
        path = authority.write_crl()
        count = sum(entry.revoked is not None for entry in authority.entries())
        typer.echo(f"{path}: {count} revoked")


@app.command("list")
def list_certificates(
    pki: Folder = _FOLDER,
    due: Annotated[bool, typer.Option("--due", help=f"Only what ends within {RENEW_DAYS} days.")] = False,
) -> None:
    """List what was issued: serial, name, until when, whether revoked or due. Ends with 1 if --due finds something."""
    with plain_words():
        now = datetime.now(UTC)
        shown = [entry for entry in Pki(pki).entries() if not due or _is_due(entry, now)]
        # A name that has a newer certificate is not due, whatever becomes of the old one.
        newest = {entry.name: entry.serial for entry in sorted(shown, key=lambda entry: entry.end)}
        if due:
            newer = {entry.name for entry in Pki(pki).entries() if not entry.revoked and not entry.due(now)}
            shown = [entry for entry in shown if newest[entry.name] == entry.serial and entry.name not in newer]
        for entry in shown:
            typer.echo(f"{entry.serial}  {entry.kind:<8}  {entry.name:<32}  until {_day(entry.end)}{_note(entry, now)}")
    if due and shown:
        raise typer.Exit(1)


def _is_due(entry: Entry, now: datetime) -> bool:
    return entry.kind != CA and entry.due(now)


def _note(entry: Entry, now: datetime) -> str:
    if entry.revoked:
        return f"  revoked {_day(entry.revoked)}"
    if entry.end <= now:
        return "  EXPIRED"
    return "  due for renewal" if entry.due(now) else ""


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"

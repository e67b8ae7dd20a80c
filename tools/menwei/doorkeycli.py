"""`menwei door-keys`: draws the keys of a door, for the office's key file and for the door's provisioning file."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from menwei.keyfile import KeyFile, Rotation
from menwei.pki import PkiError, split_name
from menwei.pkicli import plain_words, provision_of, put_provision

_DOOR_KEY, _JOURNAL_KEY, _EPOCH = 32, 16, 4


def add_door(keys: Path, out: Path, site: str, door: str, *, new_controller: bool = False) -> None:
    """Draw a door's keys; the key file is written first, so that no door has a key that the office does not know.

    Args:
        keys: key file, made if it is not there.
        out: provisioning file; what else stands in it is kept.
        new_controller: the door is known, and gets new keys. Start keys of its former journals stay.

    Raises:
        PkiError: another site's key file, a door that is known, or a provisioning file that has keys.
    """
    book = KeyFile.load(keys) if keys.exists() else KeyFile(site)
    if book.site != site:
        raise PkiError(f"{keys} is of the site {book.site}; each site has a key file of its own")
    known = door in book.doors
    if known and not new_controller:
        raise PkiError(
            f"{keys} has keys of {door} already, they are not replaced; for another controller: --new-controller"
        )
    if new_controller and not known:
        raise PkiError(f"{keys} does not know {door}; leave --new-controller away")
    content = provision_of(out)
    if "door_key" in content:
        raise PkiError(f"{out} has a door key already, and it is not replaced; name a new file")
    door_key, journal_key, epoch = (secrets.token_bytes(count) for count in (_DOOR_KEY, _JOURNAL_KEY, _EPOCH))
    book.add(door, door_key, book.journal(door) | {epoch: journal_key})
    book.set_rotation(door, Rotation())  # what the former controller had begun is over
    book.save(keys)
    fresh = {"door_key": door_key.hex(), "journal_key": journal_key.hex(), "journal_epoch": epoch.hex()}
    settings = {**content.get("settings", {}), "site": site, "door": door}
    put_provision(out, {**content, **fresh, "settings": settings})


def door_keys(
    name: Annotated[str, typer.Argument(help="SITE/DOOR, as garden/front-gate.")],
    out: Annotated[Path, typer.Option(help="provision.json of the door to put them into, or a new file.")],
    keys: Annotated[Path, typer.Option(help="Key file of the site's doors; made if it is not there.")] = Path(
        "keys.json"
    ),
    new_controller: Annotated[
        bool, typer.Option("--new-controller", help="The door is known and gets a new controller: new keys.")
    ] = False,
) -> None:
    """Draw the keys of a door: into the office's key file and the door's provisioning file."""
    with plain_words():
        add_door(keys, out, *split_name(name), new_controller=new_controller)
        typer.echo(f"{keys}: back it up, encrypted; {out}: delete it when the door has taken it")

"""`menwei broker-files`: what a mosquitto or an EMQX cluster needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from menwei.brokerfiles import Layout, write_mosquitto
from menwei.emqxfiles import write_emqx
from menwei.keyfile import KeyFile
from menwei.pki import Pki

_KINDS = {"mosquitto": write_mosquitto, "emqx": write_emqx}
_AT = {"mosquitto": "/etc/mosquitto/menwei", "emqx": "/etc/emqx/menwei"}


def broker_files(
    kind: Annotated[str, typer.Argument(help="mosquitto or emqx.")],
    folder: Annotated[Path, typer.Argument(help="Where to write; copy it to the broker's machine.")],
    keys: Annotated[list[Path], typer.Option(help="Key file of the doors; one for each site.")],
    pki: Annotated[Path, typer.Option(help="Folder of menwei pki.")] = Path("pki"),
    server: Annotated[str, typer.Option(help="Which server certificate of the folder.")] = "server",
    at: Annotated[str | None, typer.Option(help="Where the folder will lie; default /etc/mosquitto/menwei.")] = None,
    port: Annotated[int, typer.Option(help="The doors' port.")] = 8883,
    renew_port: Annotated[
        int, typer.Option(help="Where a door without a valid certificate asks for one; 0: no.")
    ] = 8884,
    upstream_port: Annotated[int, typer.Option(help="The port of upstream's programs.")] = 8885,
) -> None:
    """Write a broker's configuration, rules, passwords and certificates. docs/broker.md tells the rest."""
    if kind not in _KINDS:
        raise typer.BadParameter(f"{kind}: brokers are {', '.join(_KINDS)}")
    try:
        layout = Layout(
            at=at or _AT[kind], port=port, renew_port=renew_port, upstream_port=upstream_port, server=server
        )
        done = _KINDS[kind](folder, Pki(pki), [KeyFile.load(path) for path in keys], layout)
    except (OSError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    for name, what in done:
        typer.echo(f"{folder / name}: {what}")
    typer.echo("server.key and the passwords are secret: only the broker's user may read them")

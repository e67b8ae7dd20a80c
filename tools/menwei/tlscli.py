"""The options by which commands are told how to reach a broker over TLS."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from menwei.tls import Credentials

Broker = Annotated[str, typer.Option(help="mqtts://HOST:PORT, or mqtt:// without TLS.")]
Ca = Annotated[Path | None, typer.Option("--ca", help="The CA's certificate, PEM.")]
Cert = Annotated[Path | None, typer.Option("--cert", help="Upstream's certificate, PEM.")]
Key = Annotated[Path | None, typer.Option("--key", help="Its key, PEM.")]
Folder = Annotated[Path | None, typer.Option("--pki", help="A folder of menwei pki that holds all three.")]


def credentials(ca: Path | None, cert: Path | None, key: Path | None, pki: Path | None) -> Credentials | None:
    """From the options; typer.BadParameter if they do not go together."""
    try:
        return Credentials.of(ca, cert, key, pki)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error

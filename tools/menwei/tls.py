"""How the office's programs reach a broker: over plain TCP, or over TLS with upstream's certificate.

tls = Credentials.of(ca=None, certificate=None, key=None, pki=Path("pki"))
host, port, context = endpoint("mqtts://broker.garden.lan", tls)
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from menwei.broker import is_tls, split_url


@dataclass(frozen=True)
class Credentials:
    """Paths of the CA's certificate, of one's own, and of its key."""

    ca: Path
    certificate: Path
    key: Path

    @classmethod
    def of(cls, ca: Path | None, certificate: Path | None, key: Path | None, pki: Path | None) -> Credentials | None:
        """From options as people give them: three files, or a folder of `menwei pki`; None if none is given.

        Raises:
            ValueError: some are missing, or both ways are used.
        """
        files = (ca, certificate, key)
        if pki:
            if any(files):
                raise ValueError("name the folder (--pki) or the three files (--ca, --cert, --key), not both")
            return cls(pki / "ca.pem", pki / "upstream.pem", pki / "upstream.key")
        if not any(files):
            return None
        if not all(files):
            raise ValueError("TLS needs all three: --ca, --cert and --key; or --pki with a folder that has them")
        return cls(*files)

    def context(self) -> ssl.SSLContext:
        """For a client that shows its certificate and checks the server's chain and name.

        Raises:
            ValueError: a file is missing or is not what it should be, in a sentence.
        """
        for path in (self.ca, self.certificate, self.key):
            if not path.exists():
                raise ValueError(f"{path} is missing; menwei pki init and menwei pki upstream make it")
        try:
            context = ssl.create_default_context(cafile=self.ca)
            context.load_cert_chain(self.certificate, self.key)
        except ssl.SSLError as error:
            raise ValueError(f"{self.certificate} and {self.key} cannot be used: {error.reason}") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


def endpoint(url: str, credentials: Credentials | None) -> tuple[str, int, ssl.SSLContext | None]:
    """(host, port, TLS or None) of a broker's URL.

    Raises:
        ValueError: no such URL, TLS without certificates, or certificates for a connection without TLS.
    """
    host, port = split_url(url)
    if not is_tls(url):
        if credentials:
            raise ValueError(f"{url} is a connection without TLS; write mqtts://, or leave the certificates away")
        return host, port, None
    if credentials is None:
        raise ValueError(f"{url} needs certificates: give --pki FOLDER, or --ca, --cert and --key")
    return host, port, credentials.context()

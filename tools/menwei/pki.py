"""A site's own certificates: CA, broker, upstream, one for each door, and the list of revoked ones.

    pki = Pki.create(Path("pki"))
    pki.server(["broker.garden.lan", "10.0.0.5"])
    pki.upstream()
    provision["tls"] = pki.door("garden", "front-gate").provision()
    pki.revoke("garden/front-gate")

All keys are ECDSA P-256 with SHA-256. CA and server certificates begin at 2020-01-01, where the time of menwei begins,
and end with the year 2049: a door whose clock stands at its floor or at its release's date takes them, and no outage
outlives them. A door's certificate ends after two years and is renewed in the field. docs/broker.md says what to do
with the folder.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from menwei.keyfile import check_name

try:
    import fcntl
except ImportError:  # Windows, where one person works at a time
    fcntl = None

START = datetime(2020, 1, 1, tzinfo=UTC)
END = datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)  # the last second of UTCTime, RFC 5280 4.1.2.5.1
DOOR_DAYS = 730
RENEW_DAYS = 60
UPSTREAM, READER = "upstream", "reader"
CA, DOOR, SERVER = "ca", "door", "server"

_SERIAL_BITS = 63  # one less than 64, so that it is always positive in DER; the highest is set: 16 hex digits
_DNS = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*")
_STEM = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class PkiError(ValueError):
    """What cannot be done, in a sentence."""


@dataclass(frozen=True)
class Entry:
    """One certificate of the index."""

    serial: str
    kind: str
    name: str
    start: datetime
    end: datetime
    revoked: datetime | None = None

    def due(self, now: datetime, days: int = RENEW_DAYS) -> bool:
        """Whether it ends within so many days; a revoked one is never due."""
        return self.revoked is None and self.end - now <= timedelta(days=days)


@dataclass(frozen=True)
class DoorCertificate:
    """What a door needs: DER throughout, its key as SEC1."""

    name: str
    serial: str
    until: int  # seconds since 2020
    ca: bytes
    certificate: bytes
    key: bytes

    def provision(self) -> dict:
        """The member `tls` of provision.json. It holds the private key."""
        return {
            "ca": self.ca.hex(),
            "certificate": self.certificate.hex(),
            "key": self.key.hex(),
            "serial": self.serial,
            "until": self.until,
        }

    def __repr__(self) -> str:
        return f"DoorCertificate({self.name!r}, {self.serial})"


class Pki:
    """A folder with ca.pem, ca.key, crl.pem, index.jsonl and what was issued; PkiError if there is none."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        if not self.ca_path.exists():
            raise PkiError(f"{folder} holds no CA; make one with: menwei pki init --pki {folder}")
        self._ca = x509.load_pem_x509_certificate(self.ca_path.read_bytes())

    @property
    def ca_path(self) -> Path:
        """The CA's certificate, PEM: what everybody may know."""
        return self.folder / "ca.pem"

    @property
    def crl_path(self) -> Path:
        """The list of revoked certificates, PEM, for the broker."""
        return self.folder / "crl.pem"

    @property
    def ca_der(self) -> bytes:
        """The CA's certificate as a door carries it."""
        return self._ca.public_bytes(serialization.Encoding.DER)

    @classmethod
    def create(cls, folder: Path, name: str = "menwei") -> Pki:
        """Make a CA in a folder that has none; FileExistsError if there is one."""
        check_name("CA", name)
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _subject(f"{name} CA")
        usage = _usage(key_cert_sign=True, crl_sign=True)
        certificate = (
            _builder(subject, subject, key.public_key(), START, END)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_new(folder / "ca.key", _pem(key))  # first: where there is a key, nothing is touched
        write_new(folder / "ca.pem", certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        pki = cls(folder)
        with pki._locked():
            pki._note(certificate, CA)
        pki.write_crl()
        return pki

    # Issuing

    def server(self, names: Sequence[str], stem: str = "server") -> Path:
        """Issue a broker's certificate for DNS names and IP addresses; return its path, the key lies beside it."""
        if not names:
            raise PkiError("a server needs at least one name or address by which doors reach it")
        return self._to_files(SERVER, names[0], stem, [_server_name(name) for name in names], START, END)

    def reader(self, stem: str = READER) -> Path:
        """Issue a certificate, CN `reader`, for programs of others that read the public topics; return its path."""
        return self._to_files(READER, READER, stem, None, START, END)

    def upstream(self, stem: str = UPSTREAM) -> Path:
        """Issue upstream's certificate, CN `upstream`; return its path, the key lies beside it."""
        return self._to_files(UPSTREAM, UPSTREAM, stem, None, START, END)

    def door(
        self, site: str, door: str, days: int = DOOR_DAYS, *, start: datetime = START, end: datetime | None = None
    ) -> DoorCertificate:
        """Issue a door's certificate, CN `<site>/<door>`, noted in the index; its key is only in what is returned.

        Args:
            days: how long from now.
            start: from when; a broker whose clock was reset takes it, too.
            end: until when, instead of `days`.
        """
        name = f"{check_name('site', site)}/{check_name('door', door)}"
        if end is None:
            if not 1 <= days <= 3650:
                raise PkiError(f"a door's certificate lasts 1 to 3650 days, not {days}")
            end = min(datetime.now(UTC) + timedelta(days=days), END)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._issue(DOOR, name, key, None, start, end.replace(microsecond=0))
        return DoorCertificate(
            name,
            f"{certificate.serial_number:016x}",
            int((certificate.not_valid_after_utc - START).total_seconds()),
            self.ca_der,
            certificate.public_bytes(serialization.Encoding.DER),
            key.private_bytes(
                serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
            ),
        )

    def _to_files(self, kind: str, name: str, stem: str, names: list | None, start: datetime, end: datetime) -> Path:
        if not _STEM.fullmatch(stem) or stem in ("ca", "crl"):
            raise PkiError(f"file name {stem!r} must be 1 to 32 characters of a-z, 0-9 and -, not ca or crl")
        self._ca_key()  # without it nothing is written
        path = self.folder / f"{stem}.pem"
        key = ec.generate_private_key(ec.SECP256R1())
        write_new(path.with_suffix(".key"), _pem(key))
        certificate = self._issue(kind, name, key, names, start, end)
        write_new(path, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        return path

    def _issue(self, kind, name, key, names, start, end) -> x509.Certificate:
        ca_key = self._ca_key()
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if kind == SERVER else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            _builder(_subject(name), self._ca.subject, key.public_key(), start, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(ca_key, hashes.SHA256())
        with self._locked():
            self._note(certificate, kind, name)
        return certificate

    def _ca_key(self) -> ec.EllipticCurvePrivateKey:
        path = self.folder / "ca.key"
        if not path.exists():
            raise PkiError(f"{path} is not here: certificates are issued where the CA's key is")
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise PermissionError(f"{path} can be read by others (mode {mode:04o}); run: chmod 600 {path}")
        return serialization.load_pem_private_key(path.read_bytes(), None)

    # Index and revocation

    def entries(self) -> list[Entry]:
        """All certificates ever issued here, oldest first."""
        found: dict[str, Entry] = {}
        path = self.folder / "index.jsonl"
        for number, line in enumerate(path.read_text().splitlines(), 1):
            try:
                told = json.loads(line)
                serial = told["serial"]
                if "revoked" in told:
                    entry = found[serial]
                    found[serial] = replace(entry, revoked=datetime.fromisoformat(told["revoked"]))
                else:
                    limits = (datetime.fromisoformat(told[limit]) for limit in ("start", "end"))
                    found[serial] = Entry(serial, told["kind"], told["name"], *limits)
            except (KeyError, TypeError, ValueError) as error:
                raise PkiError(f"{path}, line {number} is damaged ({error!r}); take it from the back-up") from error
        return list(found.values())

    def newest(self, name: str) -> Entry | None:
        """The certificate of a name that ends last and is not revoked."""
        there = [entry for entry in self.entries() if entry.name == name and entry.revoked is None]
        return max(there, key=lambda entry: entry.end, default=None)

    def revoke(self, what: str) -> list[Entry]:
        """Revoke all certificates of a name (`garden/front-gate`), or one by its serial, and write the list anew."""
        with self._locked():
            known = [entry for entry in self.entries() if what in (entry.name, entry.serial) and entry.kind != CA]
            if not known:
                raise PkiError(f"there is no certificate of {what}; menwei pki list shows all")
            gone = [entry for entry in known if entry.revoked is None]
            for entry in gone:
                self._append({"serial": entry.serial, "revoked": _now()})
        self.write_crl()
        return gone

    def write_crl(self) -> Path:
        """Write the list of revoked certificates from the index.

        It begins and ends with the CA. An expired list, or one from the broker's future, would make mosquitto refuse
        every door (X509_V_ERR_CRL_HAS_EXPIRED): a broker that was forgotten would lock out a whole site, which is worse
        than a list whose age cannot be told. Whether a broker has the newest one is seen by its number, which is how
        many certificates are revoked.
        """
        with self._locked():
            gone = [entry for entry in self.entries() if entry.revoked]
            builder = (
                x509.CertificateRevocationListBuilder()
                .issuer_name(self._ca.subject)
                .last_update(START)
                .next_update(END)
                .add_extension(x509.CRLNumber(len(gone)), critical=False)
                .add_extension(
                    x509.AuthorityKeyIdentifier.from_issuer_public_key(self._ca.public_key()), critical=False
                )
            )
            for entry in gone:
                builder = builder.add_revoked_certificate(
                    x509.RevokedCertificateBuilder()
                    .serial_number(int(entry.serial, 16))
                    .revocation_date(entry.revoked)
                    .build()
                )
            text = builder.sign(self._ca_key(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
            fresh = self.crl_path.with_suffix(".new")
            fresh.unlink(missing_ok=True)
            write_new(fresh, text, 0o644)
            os.replace(fresh, self.crl_path)
        return self.crl_path

    def _note(self, certificate: x509.Certificate, kind: str, name: str = "") -> None:
        self._append(
            {
                "serial": f"{certificate.serial_number:016x}",
                "kind": kind,
                "name": name or CA,
                "start": certificate.not_valid_before_utc.isoformat(),
                "end": certificate.not_valid_after_utc.isoformat(),
            }
        )

    def _append(self, line: dict) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with os.fdopen(os.open(self.folder / "index.jsonl", flags, 0o600), "w") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One program at a time: menwei listen renews while somebody revokes."""
        with open(os.open(self.folder / "lock", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX)
            yield


def write_new(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file that is not there yet, with its final mode; FileExistsError if it is."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise FileExistsError(f"{path} is there already and is not replaced") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        with suppress(OSError):
            path.unlink()
        raise


def split_name(name: str) -> tuple[str, str]:
    """`garden/front-gate` as (site, door), both checked."""
    site, slash, door = name.partition("/")
    if not slash:
        raise PkiError(f"{name!r} is no door; write SITE/DOOR, as garden/front-gate")
    return check_name("site", site), check_name("door", door)


def _now() -> str:
    return datetime.now(UTC).replace(microsecond=0).isoformat()


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(subject, issuer, public_key, start: datetime, end: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(1 << _SERIAL_BITS - 1 | secrets.randbits(_SERIAL_BITS - 1))
        .not_valid_before(start)
        .not_valid_after(end)
    )


def _usage(**wanted: bool) -> x509.KeyUsage:
    every = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{name: wanted.get(name, False) for name in every})


def _server_name(name: str) -> x509.GeneralName:
    with suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(name))
    if len(name) > 253 or not _DNS.fullmatch(name):
        raise PkiError(f"{name!r} is neither an IP address nor a host name (small letters, digits, - and .)")
    return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

"""What certificates are made of: names, usages, serial numbers, PEM. menwei/pki.py puts them together."""

from __future__ import annotations

import ipaddress
import re
import secrets
from contextlib import suppress
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_SERIAL_BITS = 63  # one less than 64, so that it is always positive in DER; the highest is set: 16 hex digits
_DNS = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*")


class PkiError(ValueError):
    """What cannot be done, in a sentence."""


def subject(name: str) -> x509.Name:
    """A name of nothing but a CN: short, and what brokers make a user name of."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def builder(subject, issuer, public_key, start: datetime, end: datetime) -> x509.CertificateBuilder:
    """A certificate with a random serial number of 16 hex digits, to be extended and signed."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(1 << _SERIAL_BITS - 1 | secrets.randbits(_SERIAL_BITS - 1))
        .not_valid_before(start)
        .not_valid_after(end)
    )


def usage(**wanted: bool) -> x509.KeyUsage:
    """The key usages named, and no other."""
    every = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{name: wanted.get(name, False) for name in every})


def server_name(name: str) -> x509.GeneralName:
    """An entry of a server's alternative names; PkiError if it is neither an address nor a host name."""
    with suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(name))
    if len(name) > 253 or not _DNS.fullmatch(name):
        raise PkiError(f"{name!r} is neither an IP address nor a host name (small letters, digits, - and .)")
    return x509.DNSName(name)


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key as PKCS 8, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

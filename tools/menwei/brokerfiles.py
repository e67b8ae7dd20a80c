"""Ready-made files for a broker: mosquitto here, EMQX in emqxfiles.py. docs/broker.md says how they are used.

    write_mosquitto(Path("broker"), Pki(Path("pki")), KeyFile.load(path), Layout(at="/etc/mosquitto/menwei"))

Three listeners. At the doors' one a certificate's CN is user name and client id, so that a door reaches only its own
topics and cannot end another's connection. At upstream's, CN `upstream` serves all doors. At the renewal listener a
door shows no certificate but proves its door key by a password, and reaches nothing but its renewal topics.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from menwei.keyfile import KeyFile
from menwei.pki import READER, UPSTREAM, Pki, PkiError, write_new
from storage.mac import derive

ROOT = "menwei/v1"
UP = ("event", "event/now", "state", "cmd/result")
DOWN = ("event/ack", "list", "cmd", "parcel")
RENEW_UP, RENEW_DOWN = "renew/ask", "renew"
PUBLIC = "public"
DISCOVERY = "homeassistant"

MAX_PACKET = 4096  # a batch of events has 1,080 bytes and its topic, a discovery message about 1,500
MAX_INFLIGHT = 20
MAX_QUEUED = 10_000  # for upstream: two batches from each of 1,000 doors, and what else they say

_ROUNDS = 101  # mosquitto_passwd's own; the password has 256 random bits, so more would gain nothing
_SALT = 12
_HASH = 64


@dataclass(frozen=True)
class Layout:
    """Where the files will lie on the broker's machine, and which ports it opens; port 0: no such listener.

    Without `at` the files are used where they are written.
    """

    at: str = ""
    data: str = "/var/lib/mosquitto"
    user: str = "mosquitto"
    bind: str = ""
    port: int = 8883
    renew_port: int = 8884
    upstream_port: int = 8885
    server: str = "server"


def doors_acl() -> str:
    """Doors: each under its own name only, nothing else. %u is the CN of the certificate."""
    lines = ["# Doors: %u is the CN of the certificate, <site>/<door>. What is not allowed here is denied."]
    lines += [f"pattern write {ROOT}/%u/{leaf}" for leaf in UP]
    lines += [f"pattern read {ROOT}/%u/{leaf}" for leaf in DOWN]
    return "\n".join(lines) + "\n"


def renew_acl() -> str:
    """Doors without a valid certificate: %u is the user name of the password file."""
    return (
        "# Doors without a valid certificate: the way to a new one, and nothing else.\n"
        f"pattern write {ROOT}/%u/{RENEW_UP}\n"
        f"pattern read {ROOT}/%u/{RENEW_DOWN}\n"
    )


def upstream_acl() -> str:
    """Upstream, and readers of what is public."""
    lines = ["# What is not allowed here is denied.", f"user {UPSTREAM}"]
    lines += [f"topic read {ROOT}/+/+/{leaf}" for leaf in (*UP, RENEW_UP)]
    lines += [f"topic write {ROOT}/+/+/{leaf}" for leaf in (*DOWN, RENEW_DOWN)]
    lines += [f"topic readwrite {ROOT}/+/+/{PUBLIC}/#", f"topic readwrite {DISCOVERY}/#"]
    lines += ["", f"user {READER}", f"topic read {ROOT}/+/+/{PUBLIC}/#", f"topic read {DISCOVERY}/#"]
    return "\n".join(lines) + "\n"


def password_line(user: str, password: str, salt: bytes) -> str:
    """One line of a password file as mosquitto 2 reads it: $7$, PBKDF2-HMAC-SHA512, rounds, salt, hash."""
    hashed = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS, _HASH)
    return f"{user}:$7${_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(hashed).decode()}\n"


def renew_passwords(*keys: KeyFile) -> list[tuple[str, str]]:
    """(user name, password) at the renewal listener, hex of K(`renew`), of each door of the key files."""
    return [
        (f"{file.site}/{door}", derive(file.door_key(door), b"renew").hex()) for file in keys for door in file.doors
    ]


def mosquitto_conf(layout: Layout, folder: Path) -> str:
    """The configuration of mosquitto 2.0.11 or newer."""
    at = layout.at or str(Path(folder).absolute())

    def listener(port: int, acl: str, *lines: str) -> list[str]:
        head = f"listener {port} {layout.bind}".rstrip()
        tls = [f"cafile {at}/ca.pem", f"certfile {at}/server.pem", f"keyfile {at}/server.key"]
        return ["", head, "protocol mqtt", *tls, "allow_anonymous false", f"acl_file {at}/{acl}", *lines]

    mutual = ("require_certificate true", "use_identity_as_username true", f"crlfile {at}/crl.pem")
    lines = [
        "# Made by menwei broker-files; docs/broker.md.",
        f"user {layout.user}",
        "per_listener_settings true",
        "persistence true",
        f"persistence_location {layout.data}/",
        "autosave_interval 60",
        f"max_packet_size {MAX_PACKET}",
        f"max_inflight_messages {MAX_INFLIGHT}",
        f"max_queued_messages {MAX_QUEUED}",
        "persistent_client_expiration 14d",
        "set_tcp_nodelay true",
        *listener(layout.port, "doors.acl", *mutual, "use_username_as_clientid true"),
    ]
    if layout.upstream_port:
        lines += listener(layout.upstream_port, "upstream.acl", *mutual)
    if layout.renew_port:
        lines += listener(
            layout.renew_port, "renew.acl", f"password_file {at}/renew.passwd", "use_username_as_clientid true"
        )
    return "\n".join(lines) + "\n"


def write_mosquitto(folder: Path, pki: Pki, keys: list[KeyFile], layout: Layout | None = None) -> list[tuple[str, str]]:
    """Write all that mosquitto needs into a folder; return (file, "written", "replaced" or "kept").

    What follows from keys and certificates is replaced; mosquitto.conf is kept if it is there: people change it.
    """
    layout = layout or Layout()
    texts = {"doors.acl": doors_acl(), "upstream.acl": upstream_acl(), "renew.acl": renew_acl()}
    if layout.renew_port:
        lines = (password_line(user, password, os.urandom(_SALT)) for user, password in renew_passwords(*keys))
        texts["renew.passwd"] = "".join(lines)
    return _write(folder, pki, layout, {"mosquitto.conf": mosquitto_conf(layout, folder)}, texts)


def _write(folder: Path, pki: Pki, layout: Layout, kept: dict, replaced: dict) -> list[tuple[str, str]]:
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    server = pki.folder / f"{layout.server}.pem"
    if not server.exists():
        raise PkiError(f"{server} is missing; make it with: menwei pki server NAME… --pki {pki.folder}")
    done = []
    for name, text in kept.items():
        if (folder / name).exists():
            done.append((name, "kept"))
        else:
            write_new(folder / name, text.encode(), 0o644)
            done.append((name, "written"))
    copies = {"ca.pem": pki.ca_path, "crl.pem": pki.crl_path, "server.pem": server}
    copies["server.key"] = server.with_suffix(".key")
    contents = {name: text.encode() for name, text in replaced.items()}
    contents |= {name: path.read_bytes() for name, path in copies.items()}
    for name, content in contents.items():
        there = (folder / name).exists()
        fresh = folder / f"{name}.new"
        fresh.unlink(missing_ok=True)
        write_new(fresh, content)  # 0600: mosquitto wants its files readable by itself only
        if there:
            shutil.copymode(folder / name, fresh)
        os.replace(fresh, folder / name)
        done.append((name, "replaced" if there else "written"))
    return done

"""Ready-made files for an EMQX cluster: listeners and rules by zone. Written from EMQX's documentation, not tried.

    write_emqx(Path("broker"), Pki(Path("pki")), [KeyFile.load(path)], Layout(at="/etc/emqx/menwei"))

docs/unverified.md says so, docs/broker.md what differs from mosquitto: EMQX fetches the list of revoked certificates
from the address that stands in each certificate, so the CA is made with --crl-url.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from pathlib import Path

from menwei.brokerfiles import (
    DISCOVERY,
    DOWN,
    MAX_INFLIGHT,
    MAX_PACKET,
    MAX_QUEUED,
    PUBLIC,
    RENEW_DOWN,
    RENEW_UP,
    ROOT,
    UP,
    Layout,
    renew_passwords,
    write_files,
)
from menwei.keyfile import KeyFile
from menwei.pki import READER, UPSTREAM, Pki, PkiError

_SALT = 16


def emqx_acl() -> str:
    """Rules of the file authorizer, first match wins. The zone tells by which listener a client came."""

    def rule(who: str, action: str, topics: list[str]) -> str:
        listed = ", ".join(f'"{topic}"' for topic in topics)
        return f"{{allow, {who}, {action}, [{listed}]}}."

    own = f"{ROOT}/${{username}}"
    doors = '{zone, "doors"}'
    upstream = f'{{\'and\', [{{zone, "upstream"}}, {{username, "{UPSTREAM}"}}]}}'
    reader = f'{{\'and\', [{{zone, "upstream"}}, {{username, "{READER}"}}]}}'
    every = f"{ROOT}/+/+"
    lines = [
        "%% Made by menwei broker-files; docs/broker.md.",
        "%% A command is never retained, so a door may not leave one behind for itself either.",
        rule(doors, "publish", [f"{own}/{leaf}" for leaf in UP]),
        rule(doors, "subscribe", [f"{own}/{leaf}" for leaf in DOWN]),
        rule('{zone, "renew"}', "publish", [f"{own}/{RENEW_UP}"]),
        rule('{zone, "renew"}', "subscribe", [f"{own}/{RENEW_DOWN}"]),
        rule(upstream, "subscribe", [f"{every}/{leaf}" for leaf in (*UP, RENEW_UP)]),
        rule(upstream, "{publish, [{retain, false}]}", [f"{every}/{leaf}" for leaf in (*DOWN, RENEW_DOWN)]),
        rule(upstream, "all", [f"{every}/{PUBLIC}/#", f"{DISCOVERY}/#"]),
        rule(reader, "subscribe", [f"{every}/{PUBLIC}/#", f"{DISCOVERY}/#"]),
        "{deny, all}.",
    ]
    return "\n".join(lines) + "\n"


def emqx_conf(layout: Layout) -> str:
    """What is added to base.hocon of each node."""
    at = layout.at

    def listener(name: str, port: int, *lines: str, mutual: bool = True) -> str:
        verify = (
            "    verify = verify_peer\n    fail_if_no_peer_cert = true\n    enable_crl_check = true\n"
            if mutual
            else "    verify = verify_none\n"
        )
        extra = "".join(f"  {line}\n" for line in lines)
        return (
            f"listeners.ssl.{name} {{\n"
            f'  bind = "0.0.0.0:{port}"\n'
            f"  zone = {name}\n{extra}"
            "  ssl_options {\n"
            f'    cacertfile = "{at}/ca.pem"\n    certfile = "{at}/server.pem"\n    keyfile = "{at}/server.key"\n'
            f'    versions = ["tlsv1.3", "tlsv1.2"]\n{verify}'
            "  }\n}\n"
        )

    text = (
        "# Made by menwei broker-files; docs/broker.md.\n"
        + "".join(f"listeners.{kind}.default.enable = false\n" for kind in ("tcp", "ssl", "ws", "wss"))
        + f"mqtt.max_packet_size = {MAX_PACKET}\nmqtt.max_inflight = {MAX_INFLIGHT}\n"
        f"mqtt.max_mqueue_len = {MAX_QUEUED}\n"
        "zones.doors.mqtt { peer_cert_as_username = cn, peer_cert_as_clientid = cn }\n"
        "zones.upstream.mqtt { peer_cert_as_username = cn }\n"
        "zones.renew.mqtt { use_username_as_clientid = true }\n\n"
        # A certificate is all that these two listeners ask for.
         + listener("doors", layout.port, "enable_authn = false")
    )
    if layout.upstream_port:
        text += listener("upstream", layout.upstream_port, "enable_authn = false")
    if layout.renew_port:
        text += listener("renew", layout.renew_port, "enable_authn = quick_deny_anonymous", mutual=False)
        text += (
            "authentication = [{\n"
            "  mechanism = password_based, backend = built_in_database, user_id_type = username\n"
            "  password_hash_algorithm { name = sha256, salt_position = prefix }\n"
            f'  bootstrap_file = "{at}/renew.csv", bootstrap_type = hash\n'
            "}]\n"
        )
    return text + (
        "authorization {\n  no_match = deny\n  deny_action = ignore\n"
        f'  sources = [{{ type = file, enable = true, path = "{at}/acl.conf" }}]\n}}\n'
    )


def emqx_passwords(*keys: KeyFile) -> str:
    """The bootstrap file of the built-in database: SHA-256 of salt and password, which has 256 random bits."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("user_id", "password_hash", "salt", "is_superuser"))
    for user, password in renew_passwords(*keys):
        salt = os.urandom(_SALT).hex()
        rows.writerow((user, hashlib.sha256((salt + password).encode()).hexdigest(), salt, "false"))
    return text.getvalue()


def write_emqx(folder: Path, pki: Pki, keys: list[KeyFile], layout: Layout | None = None) -> list[tuple[str, str]]:
    """Write all that a node of EMQX needs into a folder; return (file, "written", "replaced" or "kept")."""
    layout = layout or Layout(at="/etc/emqx/menwei")
    if not pki.crl_url:
        raise PkiError("EMQX fetches the list of revoked certificates by HTTP: make the CA with --crl-url")
    texts = {"acl.conf": emqx_acl()}
    if layout.renew_port:
        texts["renew.csv"] = emqx_passwords(*keys)
    return write_files(folder, pki, layout, {"menwei.hocon": emqx_conf(layout)}, texts)

"""Certificates of a site: what OpenSSL thinks of them, what is never overwritten, never printed, and who may read."""

import json
import re
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from tls_site import past
from typer.testing import CliRunner

from menwei.cli import app
from menwei.pki import END, START, Pki, PkiError

RELEASE = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def pki(tmp_path):
    return Pki.create(tmp_path / "pki")


@pytest.fixture
def menwei(tmp_path):
    """Run `menwei pki …` on a folder of its own; returns exit code, output and error output."""

    def run(*words):
        result = CliRunner().invoke(app, ["pki", *words, "--pki", str(tmp_path / "pki")])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


def openssl(*words, stdin=None):
    done = subprocess.run(["openssl", *map(str, words)], input=stdin, capture_output=True, check=False)
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def verify(pki, path, purpose, *more):
    """What openssl says to a certificate with the CA and its revocation list."""
    words = ("-CAfile", pki.ca_path, "-CRLfile", pki.crl_path, "-crl_check", "-purpose", purpose, *more)
    return openssl("verify", "-x509_strict", *words, path)


def as_file(certificate, path):
    path.write_bytes(x509.load_der_x509_certificate(certificate.certificate).public_bytes(Encoding.PEM))
    return path


def at(moment):
    return ("-attime", int(moment.timestamp()))


# What is made


@pytest.mark.parametrize("moment", [START, RELEASE, datetime.now(UTC), END - timedelta(days=1)])
def test_server_and_list_are_valid_from_the_first_moment_of_our_time_to_the_end_of_the_ca(pki, moment):
    path = pki.server(["broker.garden.lan", "10.0.0.5"])
    code, said = verify(pki, path, "sslserver", *at(moment))
    assert code == 0, said


def test_a_server_has_the_names_it_was_made_for(pki):
    path = pki.server(["broker.garden.lan", "10.0.0.5"])
    for check, name, code in (
        ("-verify_hostname", "broker.garden.lan", 0),
        ("-verify_ip", "10.0.0.5", 0),
        ("-verify_hostname", "other.garden.lan", 2),
        ("-verify_ip", "10.0.0.6", 2),
    ):
        assert verify(pki, path, "sslserver", check, name)[0] == code
    assert verify(pki, path, "sslclient")[0] == 2  # nobody can be a door with it


def test_a_door_is_a_client_for_two_years_and_no_server(pki, tmp_path):
    door = pki.door("garden", "front-gate")
    path = as_file(door, tmp_path / "door.pem")
    assert verify(pki, path, "sslclient")[0] == 0
    assert verify(pki, path, "sslserver")[0] == 2
    assert verify(pki, path, "sslclient", *at(datetime.now(UTC) + timedelta(days=729)))[0] == 0
    code, said = verify(pki, path, "sslclient", *at(datetime.now(UTC) + timedelta(days=731)))
    assert code == 2 and "expired" in said
    assert "CN = garden/front-gate" in openssl("x509", "-in", path, "-noout", "-subject")[1]


def test_what_a_door_gets_tells_the_truth(pki):
    door = pki.door("garden", "front-gate")
    told = door.provision()
    assert set(told) == {"ca", "certificate", "key", "serial", "until"}
    certificate = x509.load_der_x509_certificate(bytes.fromhex(told["certificate"]))
    assert certificate.serial_number == int(told["serial"], 16)
    assert len(told["serial"]) == 16
    ends = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=told["until"])
    assert ends == certificate.not_valid_after_utc
    assert told["until"] < 1 << 30
    assert bytes.fromhex(told["ca"]) == pki.ca_der
    # SEC 1 (RFC 5915), curve P-256, and the key that belongs to the certificate.
    code, public = openssl("pkey", "-inform", "DER", "-pubout", stdin=bytes.fromhex(told["key"]))
    assert code == 0
    assert public.strip() == openssl("x509", "-pubkey", "-noout", "-inform", "DER", stdin=door.certificate)[1].strip()
    said = openssl("ec", "-inform", "DER", "-noout", "-text", stdin=door.key)[1]
    assert "prime256v1" in said
    assert door.key[:5] == bytes.fromhex("3077020101")


def test_serials_differ(pki):
    serials = [pki.door("garden", "front-gate").serial for _ in range(20)]
    assert len(set(serials)) == 20


def test_foreign_and_revoked_are_told_apart(pki, tmp_path):
    other = Pki.create(tmp_path / "other")
    foreign = as_file(other.door("garden", "front-gate"), tmp_path / "foreign.pem")
    own, kept = pki.door("garden", "front-gate"), pki.door("garden", "back")
    own, kept = as_file(own, tmp_path / "own.pem"), as_file(kept, tmp_path / "kept.pem")
    assert verify(pki, foreign, "sslclient")[0] == 2
    assert verify(pki, own, "sslclient")[0] == 0
    pki.revoke("garden/front-gate")
    code, said = verify(pki, own, "sslclient")
    assert code == 2 and "revoked" in said
    assert verify(pki, kept, "sslclient")[0] == 0


def test_a_list_with_an_address_is_still_taken_from_a_file(tmp_path):
    """For EMQX the list says where it is published; mosquitto reads the same list from its folder."""
    pki = Pki.create(tmp_path / "pki", crl_url="http://10.0.0.5/crl.pem")
    path = as_file(pki.door("garden", "front-gate"), tmp_path / "door.pem")
    assert verify(pki, path, "sslclient")[0] == 0
    pki.revoke("garden/front-gate")
    code, said = verify(pki, path, "sslclient")
    assert code == 2 and "revoked" in said
    assert "http://10.0.0.5/crl.pem" in openssl("x509", "-in", path, "-noout", "-text")[1]
    said = openssl("crl", "-in", pki.crl_path, "-noout", "-text")[1]
    assert "Issuing Distribution Point: critical" in said and "http://10.0.0.5/crl.pem" in said


def test_the_list_counts_up(pki):
    numbers = []
    for door in ("a", "b"):
        pki.door("garden", door)
        numbers.append(re.search(r"CRL Number:\s+(\d+)", openssl("crl", "-in", pki.crl_path, "-noout", "-text")[1])[1])
        pki.revoke(f"garden/{door}")
    assert numbers == ["0", "1"]


# The folder


def test_keys_are_for_their_owner_only(pki):
    pki.server(["localhost"])
    pki.upstream()
    assert pki.folder.stat().st_mode & 0o777 == 0o700
    for name in ("ca.key", "server.key", "upstream.key", "index.jsonl"):
        assert (pki.folder / name).stat().st_mode & 0o777 == 0o600


def test_a_ca_key_that_others_can_read_is_not_used(pki):
    (pki.folder / "ca.key").chmod(0o640)
    with pytest.raises(PermissionError, match="chmod 600"):
        pki.door("garden", "front-gate")


def test_nothing_is_replaced(pki):
    pki.server(["localhost"])
    before = {path: path.read_bytes() for path in pki.folder.iterdir()}
    with pytest.raises(FileExistsError, match=r"server\.key is there already"):
        pki.server(["localhost"])
    with pytest.raises(FileExistsError, match=r"ca\.key is there already"):
        Pki.create(pki.folder)
    assert {path: path.read_bytes() for path in pki.folder.iterdir()} == before


def test_without_the_cas_key_nothing_is_written(pki):
    (pki.folder / "ca.key").rename(pki.folder / "away")
    before = sorted(pki.folder.iterdir())
    with pytest.raises(PkiError, match="where the CA's key is"):
        pki.server(["localhost"])
    assert sorted(pki.folder.iterdir()) == before


def test_a_damaged_index_is_named(pki):
    pki.door("garden", "front-gate")
    with open(pki.folder / "index.jsonl", "a") as file:
        file.write('{"serial": "12')
    with pytest.raises(PkiError, match="line 3 is damaged"):
        pki.entries()


def test_index(pki):
    first, second = pki.door("garden", "front-gate", 10), pki.door("garden", "front-gate", 700)
    assert pki.newest("garden/front-gate").serial == second.serial
    pki.revoke(second.serial)
    assert pki.newest("garden/front-gate").serial == first.serial
    assert pki.revoke(second.serial) == []
    with pytest.raises(PkiError, match="no certificate of garden/back"):
        pki.revoke("garden/back")
    with pytest.raises(PkiError, match="no certificate of ca"):
        pki.revoke("ca")


@pytest.mark.parametrize("site", ["", "Garden", "a" * 33, "a/b", "a+", "#"])
def test_names_are_checked_before_anything_is_made(pki, site):
    with pytest.raises(ValueError, match="1 to 32 characters"):
        pki.door(site, "front-gate")
    with pytest.raises(ValueError, match="1 to 32 characters"):
        pki.door("garden", site)
    assert len(pki.entries()) == 1


@pytest.mark.parametrize("name", ["", "Broker", "*.lan", "-a", "a..b", "a b", "x" * 64])
def test_server_names_are_checked_before_anything_is_made(pki, name):
    with pytest.raises(PkiError, match="neither an IP address nor a host name"):
        pki.server([name])
    assert not (pki.folder / "server.key").exists()


# The command


def test_the_command_from_ca_to_revocation(menwei, tmp_path):
    provision = tmp_path / "provision.json"
    provision.write_text('{"settings": {"site": "garden"}}')
    steps = [
        ("init",), ("server", "localhost", "127.0.0.1"), ("upstream",), ("reader",),
        ("door", "garden/front-gate", "--out", str(provision)),
        ("door", "garden/back", "--out", str(tmp_path / "back.json"), "--days", "59"),
    ]  # fmt: skip
    printed = ""
    for words in steps:
        code, out, error = menwei(*words)
        assert code == 0, error
        printed += out + error
    told = json.loads(provision.read_text())
    assert told["settings"] == {"site": "garden"}
    assert (tmp_path / "back.json").stat().st_mode & 0o777 == 0o600
    assert provision.stat().st_mode & 0o777 == 0o600
    code, out, _ = menwei("list", "--due")
    assert code == 1 and "garden/back" in out and "front-gate" not in out
    code, out, _ = menwei("revoke", "garden/front-gate")
    assert code == 0 and told["tls"]["serial"] in out and "crl.pem" in out
    lines = menwei("list")[1].splitlines()
    assert len(lines) == 6
    assert ["revoked" in line for line in lines] == [False] * 4 + [True, False]
    printed += "\n".join(lines) + menwei("crl")[1]
    assert told["tls"]["key"] not in printed and "PRIVATE" not in printed


def test_a_door_with_a_newer_certificate_is_not_due(menwei, tmp_path):
    menwei("init")
    menwei("door", "garden/back", "--out", str(tmp_path / "1"), "--days", "20")
    assert menwei("list", "--due")[0] == 1
    menwei("door", "garden/back", "--out", str(tmp_path / "2"))
    assert menwei("list", "--due") == (0, "", "")


def test_an_expired_one_is_shown_as_such(menwei, tmp_path):
    menwei("init")
    Pki(tmp_path / "pki").door("garden", "back", end=past(days=1))
    assert "EXPIRED" in menwei("list")[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("server", "localhost"), "menwei pki init"),
        (("door", "garden", "--out", "x"), "SITE/DOOR"),
        (("init", "--crl-url", "file:///x"), "http://HOST/PATH"),
    ],
)
def test_errors_say_what_to_do(menwei, words, said):
    code, out, error = menwei(*words)
    assert code == 1 and said in error and not out


def test_a_provisioning_file_with_a_certificate_is_left_alone(menwei, tmp_path):
    menwei("init")
    path = tmp_path / "provision.json"
    menwei("door", "garden/back", "--out", str(path))
    before = path.read_bytes()
    code, _, error = menwei("door", "garden/back", "--out", str(path))
    assert code == 1 and "not replaced" in error
    assert path.read_bytes() == before
    path.write_text("{")
    assert "no JSON" in menwei("door", "garden/back", "--out", str(path))[2]

"""`menwei card` over a real serial port into a simulated board: chip model, drivers, desk firmware and card models."""

import json
import re
import socket
import threading
import time

import pytest
from desk_process import board  # noqa: F401 a fixture
from serial import Serial
from serial.rfc2217 import PortManager
from typer.testing import CliRunner

from menwei.cardkeys import CardKeyFile
from menwei.cli import app

UID7, UID4 = "04112233445566", "9c599b32"
CARDS = [("ntag424", UID7, 1), ("desfire", UID7, 2), ("classic", UID4, 3), ("classic", UID7, 15)]


class Office:
    """A folder with a key file, and the command line."""

    def __init__(self, folder):
        self.keys, self.register = folder / "card-keys.json", folder / "cards.db"
        self.output = ""

    def run(self, *words, code=0):
        result = CliRunner().invoke(app, ["card", *map(str, words)])
        self.output += result.output
        assert result.exit_code == code, result.output
        return result.output

    def keyfile(self, *words, code=0):
        return self.run("keys", *words, "--keys", self.keys, code=code)

    def card(self, action, url, kind, *words, code=0):
        return self.run(
            action, "--port", url, "--kind", kind, "--community", "garden", "--keys", self.keys,
            "--register", self.register, "--wait", 3, *words, code=code,
        )  # fmt: skip

    def list(self):
        return self.run("list", "--register", self.register)


@pytest.fixture
def office(tmp_path):
    office = Office(tmp_path)
    office.keyfile("init")
    return office


@pytest.mark.parametrize(("kind", "uid", "number"), CARDS)
def test_from_blank_to_blank(office, board, kind, uid, number):  # noqa: F811
    url = board(f"{kind}:{uid}").url
    office.keyfile("new", "--community", "garden", "--kind", kind, "--number", number)
    assert uid.upper() in office.run("read", "--port", url, "--wait", 3, "--register", office.register)
    office.card("write", url, kind, "--plan")
    assert not office.register.exists() or "begun" not in office.list()
    out = office.card("write", url, kind, "--number", number)
    assert uid.upper() in out
    assert "version 1" in office.card("check", url, kind)
    office.card("write", url, kind)
    assert re.search(rf"{uid.upper()} +{kind} +garden +number {number} +version 1 +written", office.list())
    office.keyfile("rotate", "--community", "garden", "--kind", kind)
    refused = office.run(
        "keys", "drop", "--community", "garden", "--kind", kind, "--keys", office.keys, "--register", office.register,
        code=1,
    )  # fmt: skip
    assert "1 cards still need version 1" in refused
    assert "rekey" in office.card("write", url, kind, code=1)
    office.card("rekey", url, kind)
    assert "version 2" in office.card("check", url, kind)
    assert re.search(r"version 2 +1 cards", office.run("versions", "--register", office.register))
    office.run(
        "keys", "drop", "--community", "garden", "--kind", kind, "--keys", office.keys, "--register", office.register
    )
    office.card("reset", url, kind)
    assert "reset" in office.list()
    assert office.card("check", url, kind, code=1)
    office.card("write", url, kind)
    assert "version 2" in office.card("check", url, kind)
    no_secret_shows(office)


def no_secret_shows(office):
    book = CardKeyFile.load(office.keys)
    secrets = [*json.loads(office.keys.read_text())["secrets"].values()]
    for entry in book.kinds("garden"):
        for version in (1, 2):
            secrets += [entry.read_key(version).hex(), entry.write_key(version).hex()]
    for secret in secrets:
        assert secret not in office.output.lower()


def test_key_material_does_not_come_back(office, board):  # noqa: F811
    wire = board(f"classic:{UID4}")
    office.keyfile("new", "--community", "garden", "--kind", "classic", "--number", "1")
    office.card("write", wire.url, "classic")
    sent = bytes(wire.passed).lower().count(b"ffffffffffff")
    assert sent == 1, "the factory's key goes out once, and is not echoed"


def test_uid_cards_and_duplicates(office, board):  # noqa: F811
    url = board(f"uid:{UID4}").url
    assert "copied in seconds" in office.card("write", url, "uid")
    assert "duplicate" in office.card("write", url, "uid", code=1)
    assert "no keys" in office.card("rekey", url, "uid", code=1)
    office.run("forget", "--uid", UID4, "--register", office.register)
    office.card("write", url, "uid")
    url = board("uid:08112233").url
    assert "random UID" in office.card("write", url, "uid", code=1)
    assert "08112233" not in office.list()


def test_magic_cards_are_warned_about(office, board):  # noqa: F811
    url = board(f"magic:{UID4}").url
    assert "magic" in office.card("write", url, "uid")
    assert "magic" in office.list()


def test_no_card_and_two_cards(office, board):  # noqa: F811
    assert "no card is on the reader" in office.card("write", board().url, "uid", code=1)
    assert "more than one" in office.card("write", board(f"uid:{UID4}", f"uid:{UID7}").url, "uid", code=1)


def test_the_wrong_card(office, board):  # noqa: F811
    office.keyfile("new", "--community", "garden", "--kind", "desfire")
    office.keyfile("new", "--community", "garden", "--kind", "classic")
    url = board(f"ntag424:{UID7}").url
    assert "no DESFire" in office.card("write", url, "desfire", code=1)
    assert "no MIFARE Classic" in office.card("write", url, "classic", code=1)
    assert "NTAG 424 DNA" in office.run("read", "--port", url, "--register", office.register)


@pytest.mark.parametrize("leave", [5, 9])
@pytest.mark.parametrize(("kind", "uid"), [("ntag424", UID7), ("desfire", UID7), ("classic", UID4)])
def test_a_card_that_is_taken_away_is_finished_and_reset(office, board, kind, uid, leave):  # noqa: F811
    wire = board(f"{kind}:{uid}", f"leave={leave}")
    office.keyfile("new", "--community", "garden", "--kind", kind)
    assert "run the same command again" in office.card("write", wire.url, kind, code=1)
    office.card("write", wire.url, kind)
    assert "version 1" in office.card("check", wire.url, kind)
    office.card("reset", wire.url, kind)
    assert "reset" in office.list()


@pytest.mark.parametrize(("kind", "uid", "number"), CARDS)
def test_a_door_takes_what_the_office_wrote(office, board, tmp_path, kind, uid, number):  # noqa: F811
    """The door's own implementation of keys, messages and counters, with the keys that it is given."""
    out = tmp_path / "provision.json"
    wire = board(f"{kind}:{uid}", f"prove={out}")
    office.keyfile("new", "--community", "garden", "--kind", kind, "--number", number)
    office.card("write", wire.url, kind)
    office.keyfile("rotate", "--community", "garden", "--kind", kind)
    office.card("rekey", wire.url, kind)
    office.keyfile("export-door", "--community", "garden", "--out", out)
    with Serial(wire.url) as port:
        port.write(b"end\n")
    deadline = time.monotonic() + 20
    while wire.passed.count(b"door: proof") < 3 and wire.board.process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    wire.board.process.wait(5)
    time.sleep(0.2)
    counters = (2, 3, 4) if kind == "classic" else (0, 0, 0)
    lines = [line for line in wire.passed.decode().splitlines() if line.startswith("door:")]
    assert lines == [f"door: proof 1 version 2 counter {counter}" for counter in counters], bytes(wire.passed[-600:])


class Pty(Serial):
    """A pseudo terminal has no modem lines."""

    cts = dsr = ri = cd = False

    def _update_rts_state(self):
        pass

    _update_dtr_state = _update_rts_state


class PortServer:
    """A serial port shared over RFC 2217, as pyserial's own example does."""

    def __init__(self, device):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"rfc2217://127.0.0.1:{self.server.getsockname()[1]}"
        self.device = device
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            client, _ = self.server.accept()
            with Pty(self.device, timeout=0.05) as port, client:
                writing = threading.Lock()

                class Connection:
                    @staticmethod
                    def write(data, client=client, writing=writing):
                        with writing:
                            client.sendall(data)

                manager = PortManager(port, Connection)
                gone = threading.Event()

                def pump(port=port, manager=manager, gone=gone):
                    while not gone.is_set():
                        if data := port.read(port.in_waiting or 1):
                            Connection.write(b"".join(manager.escape(data)))

                pumping = threading.Thread(target=pump)
                pumping.start()
                try:
                    while data := client.recv(1024):
                        port.write(b"".join(manager.filter(data)))
                except OSError:
                    pass
                gone.set()
                pumping.join()


def test_a_desk_at_another_computer(office, board):  # noqa: F811
    url = PortServer(board(f"ntag424:{UID7}").url).url
    office.keyfile("new", "--community", "garden", "--kind", "ntag424")
    office.card("write", url, "ntag424")
    assert "version 1" in office.card("check", url, "ntag424")

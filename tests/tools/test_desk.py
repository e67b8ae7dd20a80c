"""The serial client of the desk against boards that answer badly, over a TCP port."""

import socket
import threading

import pytest

from menwei import desk as module
from menwei.cardwriter import CardError, CardGone
from menwei.desk import DeskError, SerialDesk

HELLO = "ok menwei desk 1 sim 0.1.0"


class Board:
    """Answers each line with what `answers` has for its first word; None: silence, an Exception: hang up."""

    def __init__(self, answers):
        self.answers = {"hello": HELLO} | answers
        self.asked = []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"socket://127.0.0.1:{self.server.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        try:
            client, _ = self.server.accept()
            with client, client.makefile("rb") as lines:
                for line in lines:
                    words = line.decode().split()
                    if not words:
                        continue
                    self.asked.append(line.decode().strip())
                    answer = self.answers.get(words[0], "error usage: no")
                    if isinstance(answer, Exception):
                        return
                    if answer is not None:
                        client.sendall(answer if isinstance(answer, bytes) else answer.encode() + b"\r\n")
        except OSError:
            pass


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for name, value in (("_ANSWER_S", 1.0), ("_HELLO_S", 2.0), ("_PAUSE_S", 0.02)):
        monkeypatch.setattr(module, name, value)


def opened(**answers):
    board = Board(answers)
    return SerialDesk.open(board.url), board


def test_what_a_card_is():
    desk, board = opened(card="ok uid=04112233445566 sak=20 atqa=0344 magic=0")
    assert (desk.board, desk.version) == ("sim", "0.1.0")
    card = desk.card(2)
    assert (card.uid.hex(), card.sak, card.atqa, card.magic) == ("04112233445566", 0x20, 0x0344, False)
    assert board.asked[-1] == "card 2000"


def test_requests_and_answers():
    desk, board = opened(apdu="ok 9000", auth="ok", read="ok " + "a5" * 16, write="ok", field="ok")
    assert desk.apdu(b"\x90\x60\0\0\0") == b"\x90\x00"
    assert desk.auth("B", 7, bytes(6)) is True
    assert desk.read(4) == b"\xa5" * 16
    desk.write(4, bytes(16))
    desk.field()
    assert board.asked[1:] == [
        "apdu 9060000000",
        "auth B 7 000000000000",
        "read 4",
        f"write 4 {'00' * 16} 0351",
        "field",
    ]


def test_lines_of_the_board_between_answers_are_skipped():
    noise = b"W (123) boot\r\n\xff\xfe\x00garbage\n\r\n" + b"x" * 1000 + b"\nok 9000\r\n"
    desk, _ = opened(apdu=noise)
    assert desk.apdu(b"\0") == b"\x90\x00"


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ("error gone: x", CardGone, "same command again"),
        ("error nocard: x", CardError, "no card"),
        ("error several: x", CardError, "leave one"),
        ("error denied: x", CardError, "access bits"),
        ("error unsafe: x", CardError, "lock the card"),
        ("error fault: x", DeskError, "wiring"),
        ("error usage: x", DeskError, "did not understand"),
        ("ok zz", DeskError, "garbled"),
        ("ok", DeskError, "garbled"),
        (None, DeskError, "did not answer"),
        (Exception(), DeskError, "broke off"),
    ],
)
def test_trouble_is_told_in_plain_words(answer, error, words):
    desk, _ = opened(apdu=answer)
    with pytest.raises(error, match=words) as caught:
        desk.apdu(bytes.fromhex("deadbeef"))
    assert "deadbeef" not in str(caught.value)


def test_a_refused_key_is_no_error_and_is_not_told():
    desk, _ = opened(auth="error refused: x")
    assert desk.auth("A", 7, b"secret") is False
    desk, _ = opened(auth="error gone: x")
    with pytest.raises(CardGone) as caught:
        desk.auth("A", 7, bytes.fromhex("c0ffee123456"))
    assert "c0ffee" not in str(caught.value)


@pytest.mark.parametrize(
    "answer", ["ok uid=0411 sak=zz atqa=0 magic=0", "ok uid=04", "ok", "ok uid= sak=1 atqa=1 magic=0"]
)
def test_a_garbled_card_is_none(answer):
    desk, _ = opened(card=answer)
    with pytest.raises(DeskError, match="garbled"):
        desk.card(0)


def test_what_is_no_desk(monkeypatch):
    monkeypatch.setattr(module, "_HELLO_S", 0.2)
    for answer in (None, "MicroPython v1.28 on ESP32", "error usage: x", "ok"):
        with pytest.raises(DeskError, match="does not answer as a desk"):
            opened(hello=answer)
    monkeypatch.setattr(module, "_HELLO_S", 2.0)
    with pytest.raises(DeskError, match="protocol 9"):
        opened(hello="ok menwei desk 9 sim 0.1.0")


def test_a_port_that_is_missing_busy_or_nonsense(tmp_path):
    with pytest.raises(DeskError, match="no port"):
        SerialDesk.open(str(tmp_path / "ttyUSB9"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    with pytest.raises(DeskError, match="nobody listens"):
        SerialDesk.open(f"socket://127.0.0.1:{free}")
    with pytest.raises(DeskError, match="cannot be opened"):
        SerialDesk.open("carrier://pigeon")


def test_a_port_in_use():
    import os
    import pty

    master, slave = pty.openpty()
    first = module.serial.Serial(os.ttyname(slave), exclusive=True)
    try:
        with pytest.raises(DeskError, match="in use"):
            SerialDesk.open(os.ttyname(slave))
    finally:
        first.close()
        os.close(master)
        os.close(slave)

"""The door's mechanics as a process of its own, in real time: exit, fire and closer go on when the firmware hangs.

    micropython -m boards.sim.mechanics_server listen=40002 [fail_safe=0|1] [seed=N]

Prints `ready` once it listens on that port of the local host. docs/simulator.md describes the lines.
"""

import json
import select
import socket
import sys

import board
from micropython import const

from boards.sim import clock, wiring
from boards.sim.mechanics import Door

_LINE_MAX = const(512)
_CONNECTIONS_MAX = const(8)
_OPTIONS = ("listen", "fail_safe", "seed")


class _Connection:
    def __init__(self, sock):
        self.sock = sock
        self.rest = b""
        self.role = None  # "door" or "host", after the first line


class Server:
    """One door, one chip at most, any number of hosts."""

    def __init__(self, door, port):
        self._door = door
        self._pins = {str(wiring.pin_of(board, name)): name for name in wiring.OUTPUTS}
        self._connections = {}
        self._chip = None  # the connection of the chip
        self._ends = False
        self._poll = select.poll()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(socket.getaddrinfo("127.0.0.1", port)[0][-1])
        self._listener.listen(_CONNECTIONS_MAX)
        self._poll.register(self._listener, select.POLLIN)
        door.connect(self)

    def run(self):
        """Serve until a host says quit."""
        while not self._ends:
            wait_ms = clock.step(None)  # lets happen what is due
            for entry in self._poll.poll(wait_ms):
                if entry[0] is self._listener:
                    self._accept()
                elif id(entry[0]) in self._connections:
                    self._receive(self._connections[id(entry[0])])

    def set(self, name, level):
        """A contact closed (0) or opened (1): tell the chip."""
        pin = wiring.pin_of(board, name)
        if self._chip is not None and pin is not None:
            self._send(self._chip, "in %d %s" % (pin, "-" if level else "0"))

    def load(self, name, ohms):
        """The line of a contact with resistors at its end has so many ohms: tell the chip."""
        pin = wiring.pin_of(board, name)
        if self._chip is not None and pin is not None:
            self._send(self._chip, "load %d %s" % (pin, "-" if ohms is None else ohms))

    # --- connections ---

    def _accept(self):
        sock = self._listener.accept()[0]
        if len(self._connections) >= _CONNECTIONS_MAX:
            sock.close()
            return
        sock.setblocking(False)
        self._connections[id(sock)] = _Connection(sock)
        self._poll.register(sock, select.POLLIN)

    def _close(self, connection):
        if self._connections.pop(id(connection.sock), None) is None:
            return
        self._poll.unregister(connection.sock)
        connection.sock.close()
        if connection is self._chip:
            self._chip = None
            self._float()

    def _send(self, connection, text):
        data = text.encode() + b"\n"
        try:
            sent = connection.sock.send(data)
        except OSError:
            sent = 0
        if sent != len(data):  # gone, or it does not read: the door does not wait for it
            self._close(connection)

    def _receive(self, connection):
        try:
            data = connection.sock.recv(_LINE_MAX)
        except OSError:
            data = b""
        if not data:
            self._close(connection)
            return
        lines = (connection.rest + data).split(b"\n")
        connection.rest = lines.pop()
        try:
            if len(connection.rest) > _LINE_MAX:
                raise ValueError("line too long")
            for line in lines:
                if id(connection.sock) in self._connections:
                    self._line(connection, line.decode().split())
        except (ValueError, IndexError):  # UnicodeError is a ValueError: it does not speak our language
            self._close(connection)

    # --- lines ---

    def _line(self, connection, words):
        if not words:
            return
        if connection.role is None:
            if words not in (["hello", "door"], ["hello", "host"]):
                raise ValueError("hello expected")
            connection.role = words[1]
            if words[1] == "door":
                self._welcome(connection)
        elif connection.role == "host":
            self._obey(connection, words)
        elif words == ["off"]:
            self._float()
        elif words[0] == "out" and words[2] in ("0", "1", "-"):
            name = self._pins.get(words[1])
            if name:
                self._door.out(name, words[2] == "1")  # floating: the board pulls down
        else:
            raise ValueError("out PIN LEVEL expected")

    def _welcome(self, connection):
        if self._chip is not None:  # a chip that was replaced; its pins float until the new one drives them
            self._close(self._chip)
        self._chip = connection
        self._door.connect(self)
        self._send(connection, "ready")

    def _obey(self, connection, words):
        number = words[0]
        verb = words[1] if len(words) > 1 else ""
        try:
            answer = {} if verb == "quit" else self._door.command(verb, words[2:])
        except ValueError as error:
            self._send(connection, "%s error %s" % (number, error))
            return
        if verb == "state":
            answer["chip"] = int(self._chip is not None)
        self._send(connection, number + " ok" + (" " + json.dumps(answer) if answer else ""))
        self._ends = verb == "quit"

    def _float(self):
        for name in self._pins.values():
            self._door.out(name, 0)


def _options(words):
    options = {"fail_safe": board.LOCK_FAIL_SAFE, "seed": 1}
    for word in words:
        name, separator, value = word.partition("=")
        if not separator or name not in _OPTIONS:
            raise ValueError("unknown option %s; there are: %s" % (word, " ".join(_OPTIONS)))
        options[name] = int(value)
    if "listen" not in options:
        raise ValueError("option listen=PORT is missing")
    return options


def main(words):
    """Run; returns the exit code."""
    try:
        options = _options(words)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    clock.setup("real")
    door = Door(fail_safe=bool(options["fail_safe"]), seed=options["seed"])
    try:
        server = Server(door, options["listen"])
    except OSError as error:
        print("cannot listen on port %d: %s" % (options["listen"], error), file=sys.stderr)
        return 1
    print("ready")
    server.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

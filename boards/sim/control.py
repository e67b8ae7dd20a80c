"""The control channel: lines that work the world around one simulated door, and the wires to a mechanics process.

control.connect("127.0.0.1", 40001)  # docs/simulator.md has the verbs
control.wire("127.0.0.1", 40002)  # real time: the mechanics are a process of their own
"""

import json
from errno import ETIMEDOUT

import board
import network
from micropython import const

from boards.sim import clock, mfrc522_faults, pins, polling, sockets, wiring, world
from boards.sim.sockets import host_socket

EXIT_QUIT = 0
EXIT_FAILED = 1
EXIT_POWER_CUT = 86
EXIT_RESET = 87

_IPPROTO_TCP = const(6)
_TCP_NODELAY = const(1)
_LINE_MAX = 4096
_WIRES_WAIT_MS = 5000
_NAP_WAITS = 10
_NAP_WAIT_MS = 50

_line = None
_wires = None
_run_number = None  # the `run` that has not been answered yet
_hangs = False
_awake = False  # the host has answered: the chip may nap


class _Lines:
    """A TCP connection that speaks lines."""

    def __init__(self, host, port, on_line, on_close):
        self._socket = host_socket.socket()
        self._socket.setsockopt(_IPPROTO_TCP, _TCP_NODELAY, 1)  # short lines, and somebody waits for each
        self._socket.connect(host_socket.getaddrinfo(host, port)[0][-1])
        self._socket.setblocking(False)
        self._rest = b""
        self._buffer = bytearray(128)  # small pieces: the firmware's heap may be nearly full
        self._on_line = on_line
        self._on_close = on_close
        polling.watch(self._socket, self.receive)

    def send(self, text, end="\n"):
        data = (text + end).encode()
        try:
            while data:
                count = self._socket.write(data)
                data = data[count:] if count else data
        except OSError:
            pass  # the other side is gone; receive() will find out

    def receive(self):
        while True:
            try:
                count = self._socket.readinto(self._buffer)
            except OSError:
                count = 0
            if count is None:
                return
            if not count:
                polling.unwatch(self._socket)
                self._socket.close()
                self._on_close()
                return
            lines = (self._rest + self._buffer[:count]).split(b"\n")
            self._rest = lines.pop()
            if len(self._rest) > _LINE_MAX:
                raise OSError("a control line is longer than %d bytes" % _LINE_MAX)
            for line in lines:
                try:
                    text = line.decode().strip()
                except UnicodeError:
                    text = "? ?"  # is answered as what it is: no verb
                self._on_line(text)


# --- control ---


def connect(host, port):
    """Connect to who works this door."""
    global _line
    _line = _Lines(host, port, _obey, _left_alone)
    clock.on_limit = _at_limit
    clock.before_nap = _before_nap
    if clock.virtual:
        clock.set_run(0)


def send(text):
    """Tell the host something."""
    if _line is not None:
        _line.send(text)


def _left_alone():
    clock.end(EXIT_QUIT, "power_on")


def _at_limit():
    global _run_number
    if _run_number is not None:
        number, _run_number = _run_number, None
        send(number + " ok")


def _before_nap():
    """Ask whether everybody outside has caught up: what is said before a nap must not be heard after it."""
    global _awake
    _awake = False
    send("* nap")
    for _ in range(_NAP_WAITS):
        polling.wait_own(_NAP_WAIT_MS)
        if _awake:
            break
    return not sockets.busy_ms() and not polling.arrived()


def _obey(line):
    words = line.split()
    if not words:
        return
    number = words[0]
    try:
        answer = _do(number, words[1], words[2:])
    except (ValueError, IndexError, KeyError, OSError) as error:
        send(number + " error " + (str(error) or "wrong arguments").replace("\n", " "))
        return
    if answer is not None:
        _answer(number + " ok", answer)
    if _hangs:
        hang()


def _answer(text, members):
    mark = " {"
    for name, value in members:
        _line.send(text + mark, "")
        text = '"' + name + '": '
        mark = ", "
        _line.send(text + json.dumps(value), "")
        text = ""
    _line.send(text if mark == " {" else "}")


def _do(number, verb, arguments):
    """Carry one line out; return names and values to answer, or None if that comes later."""
    global _hangs, _awake
    if verb == "run":
        return _run(number, arguments)
    if verb == "nap":
        _awake = True
        return ()
    if verb == "state":
        if _run_number is not None:
            sockets.expect()  # upstream asks what time it is, and is going to tell the door
        return world.state()
    if verb in ("card", "card+"):
        seconds = arguments[1] if len(arguments) > 1 else "0.6"
        until_us = None if seconds == "-" else clock.now_us() + int(float(seconds) * 1000000)
        world.put_card(arguments[0], until_us, verb == "card+")
    elif verb == "nocard":
        if not world.take_card(*arguments[:1]) and arguments:
            raise ValueError("there is no card " + arguments[0])
    elif verb == "tear":
        world.card(*arguments[1:2]).tear(arguments[0])
    elif verb == "fault":
        if not arguments:
            return mfrc522_faults.kept(world.chip).items()
        mfrc522_faults.inject(world.chip, *arguments[:2])
    elif verb == "rtc":
        world.work_rtc(arguments)
    elif verb == "net":
        network.set_network(_switch(arguments))
    elif verb == "cutat":
        world.flash.fail_at(int(arguments[0]), arguments[1] if len(arguments) > 1 else "random", int(clock.now_us()))
    elif verb == "hang":
        if clock.virtual:
            raise ValueError("hang needs real time")
        _hangs = True
    elif verb == "cut":
        _leave(number, EXIT_POWER_CUT, "power_on")
    elif verb == "quit":
        _leave(number, EXIT_QUIT, "power_on")
    elif verb == "reset":
        if arguments[0] not in ("soft", "watchdog", "panic", "hard"):
            raise ValueError("reset soft, watchdog, panic or hard")
        _leave(number, EXIT_RESET, arguments[0])
    elif world.door is None:
        raise ValueError("unknown verb here: " + verb + "; the mechanics are a process of their own")
    else:
        clock.stir()
        return world.door.command(verb, arguments).items()
    return ()


def _switch(arguments):
    if arguments[0] not in ("0", "1"):
        raise ValueError("0 or 1")
    return arguments[0] == "1"


def _run(number, arguments):
    global _run_number
    if not clock.virtual:
        raise ValueError("real time runs by itself")
    if _run_number is not None:
        raise ValueError("run is under way")
    pace = None
    stretch_s = nap_s = 0
    for option in arguments[1:]:
        name, _, value = option.partition("=")
        if name == "pace":
            pace = float(value)
        elif name == "stretch":
            stretch_s = float(value)
        elif name == "nap":
            nap_s = float(value)
        else:
            raise ValueError("run has the options pace, stretch and nap")
    seconds = float(arguments[0])
    if seconds < 0 or stretch_s < 0 or nap_s < 0 or (pace is not None and pace <= 0):
        raise ValueError("time goes forward only")
    clock.set_run(seconds, pace, stretch_s, nap_s)
    _run_number = number


def _leave(number, code, kind):
    send(number + " ok")
    clock.end(code, kind)


def hang():
    """The firmware never goes on; the world does, and a watchdog bites."""
    global _hangs
    _hangs = False
    while True:
        clock.sleep_us(1000000000)


# --- the wires to a mechanics process ---


def wire(host, port):
    """Put the chip's pins on the mechanics in another process; returns when all inputs have their levels."""
    global _wires, _wired
    _wired = False
    _wires = _Lines(host, port, _follow, _wires_cut)
    _wires.send("hello door")
    wiring.pull(board, pins)
    for name in wiring.OUTPUTS:
        pin = wiring.pin_of(board, name)
        pins.on_change(pin, _tell)
        _tell(pin, pins.level(pin))
    deadline_us = clock.now_us() + _WIRES_WAIT_MS * 1000
    while not _wired:
        if clock.now_us() > deadline_us:
            raise OSError(ETIMEDOUT, "the mechanics process does not answer")
        polling.wait_own(100)
    pins.refresh = _wires.receive


def _tell(pin, level):
    _wires.send("out %d %d" % (pin, level))


def _follow(line):
    global _wired
    words = line.split()
    if words[:1] == ["in"] and len(words) == 3:
        pins.unload(int(words[1]))
        pins.drive(int(words[1]), None if words[2] == "-" else int(words[2]))
    elif words[:1] == ["load"] and len(words) == 3:
        pins.load(int(words[1]), None if words[2] == "-" else int(words[2]))
    elif words[:1] == ["ready"]:
        _wired = True


def _wires_cut():
    pins.refresh = None
    print("sim: the mechanics process is gone")
    clock.end(EXIT_FAILED, "power_on")

"""The module `socket` of the simulated chip: the host's sockets, as far as the simulated network carries.

    import socket  # on the simulated board this module

While the station has no link nothing arrives and nothing leaves, but connections stay open, as in TCP. What is sent
and received is watched, so that virtual time waits for an answer (`busy_ms`).
"""

import socket as host_socket
import time as _time
from io import IOBase
from select import poll as _poll
from socket import *  # noqa: F403 the constants

from micropython import const

_STREAM_POLL = const(3)
_STREAM_CLOSE = const(4)
_EAGAIN = const(11)
_ETIMEDOUT = const(110)
_EINPROGRESS = const(115)
_IPPROTO_TCP = const(6)
_TCP_NODELAY = const(1)
_PUBACK = const(0x40)
_PUBACK_BYTES = const(4)
_ANSWER_MS = const(300)  # real time that the other side has for the first byte of an answer

linked = True  # network.py says otherwise while the station is not connected
quiet_ms = 20  # real time without traffic after which virtual time goes on

_last_ms = 0
_busy = False
_awaiting = False
_probe = _poll()


def _traffic(sent):
    global _last_ms, _busy, _awaiting
    _last_ms = _time.ticks_ms()
    _busy = True
    _awaiting = sent


def expect():
    """Somebody on the other side is about to send."""
    _traffic(True)


def _is_receipt(data):
    """Whether this is an MQTT PUBACK (3.1.1, 3.4) and nothing else: nobody answers it."""
    return len(data) == _PUBACK_BYTES and data[0] == _PUBACK


def busy_ms():
    """Real milliseconds to wait for traffic before virtual time may go on; 0: it is quiet."""
    global _busy
    if not _busy or not linked:
        return 0
    left_ms = (_ANSWER_MS if _awaiting else quiet_ms) - (_time.ticks_ms() - _last_ms)
    if left_ms <= 0:
        _busy = False
        return 0
    return left_ms


def host_of(stream):
    """What the host's poll can look at for a stream; None for streams of the chip's own, such as flags."""
    if isinstance(stream, Socket):
        return stream.host
    return None if isinstance(stream, IOBase) else stream


class Socket(IOBase):
    """One socket; the host's own is in `host`."""

    def __init__(self, family=host_socket.AF_INET, kind=host_socket.SOCK_STREAM, proto=0, host=None):
        self.host = host or host_socket.socket(family, kind, proto)
        self._blocking = True
        self._lost = False  # opened while there was no link

    def _carries(self):
        if linked and not self._lost:
            return True
        if self._blocking:
            raise OSError(_ETIMEDOUT)
        return False

    def connect(self, address):
        """Connect; without a link it never comes about."""
        if not linked:
            self._lost = True
            raise OSError(_ETIMEDOUT if self._blocking else _EINPROGRESS)
        _traffic(True)
        # Real time must not be lost to Nagle's algorithm and a delayed ACK, 40 ms each time.
        self.host.setsockopt(_IPPROTO_TCP, _TCP_NODELAY, 1)
        self.host.connect(address)

    def accept(self):
        """Take a connection."""
        if not self._carries():
            raise OSError(_EAGAIN)
        host, address = self.host.accept()
        return Socket(host=host), address

    def read(self, count=-1):
        """Receive; None if nothing is there now."""
        if not self._carries():
            return None
        _traffic(False)
        return self.host.read() if count < 0 else self.host.read(count)

    def readinto(self, buf, count=-1):
        """Receive into a buffer; None if nothing is there now."""
        if not self._carries():
            return None
        _traffic(False)
        return self.host.readinto(buf) if count < 0 else self.host.readinto(buf, count)

    def readline(self):
        """Receive a line, or what there is of it."""
        if not self._carries():
            return None
        _traffic(False)
        return self.host.readline()

    def recv(self, count, flags=0):
        """Receive; OSError if nothing is there now."""
        if not self._carries():
            raise OSError(_EAGAIN)
        _traffic(False)
        return self.host.recv(count)

    def write(self, data):
        """Send; None if it cannot be taken now."""
        if not self._carries():
            return None
        _traffic(not _is_receipt(data))
        return self.host.write(data)

    def send(self, data, flags=0):
        """Send; OSError if it cannot be taken now."""
        if not self._carries():
            raise OSError(_EAGAIN)
        _traffic(not _is_receipt(data))
        return self.host.send(data)

    def sendto(self, data, address):
        """Send a datagram; without a link it is lost."""
        if not self._carries():
            return len(data)
        _traffic(True)
        return self.host.sendto(data, address)

    def recvfrom(self, count):
        """Receive a datagram."""
        if not self._carries():
            raise OSError(_EAGAIN)
        _traffic(False)
        return self.host.recvfrom(count)

    def bind(self, address):
        """Take an address."""
        self.host.bind(address)

    def listen(self, backlog=2):
        """Wait for connections."""
        self.host.listen(backlog)

    def setsockopt(self, level, option, value):
        """Set an option."""
        self.host.setsockopt(level, option, value)

    def setblocking(self, blocking):
        """Whether calls wait."""
        self._blocking = bool(blocking)
        self.host.setblocking(blocking)

    def settimeout(self, seconds):
        """How long calls wait; None for ever."""
        self._blocking = seconds != 0
        self.host.settimeout(seconds)

    def close(self):
        """End the connection."""
        self.host.close()

    def ioctl(self, request, argument):
        """For streams on top of this one, TLS: whether it is ready."""
        if request == _STREAM_POLL:
            if not linked or self._lost:
                return 0
            _probe.register(self.host, argument)
            flags = 0
            for found in _probe.poll(0):
                flags = found[1]
            _probe.unregister(self.host)
            return flags
        if request == _STREAM_CLOSE:
            self.close()
            return 0
        return -1


socket = Socket


def getaddrinfo(host, port, family=0, kind=0, proto=0, flags=0):
    """Addresses of a host; names are known only while there is a link."""
    if not linked and not host.replace(".", "").isdigit():
        raise OSError(-202)
    return host_socket.getaddrinfo(host, port, family or host_socket.AF_INET, kind, proto)

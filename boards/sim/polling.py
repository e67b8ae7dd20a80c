"""The module `select` of the simulated chip, and the one place where the process waits for the host's sockets.

    polling.watch(control_socket, on_readable)  # the simulator's own: served whenever the chip waits

Under virtual time a poll that finds nothing moves the clock (clock.step). With bytes under way on real sockets it waits
for quiet first (sockets.py), because an answer that is one real millisecond away must not meet a clock that jumped.
"""

import select as _host
import sys

from micropython import const

from boards.sim import clock, sockets, tasks

POLLIN = _host.POLLIN
POLLOUT = _host.POLLOUT
POLLERR = _host.POLLERR
POLLHUP = _host.POLLHUP

_STREAM_POLL = const(3)  # request of a stream's ioctl

_own = _host.poll()
_handlers = {}  # id of a host socket: (socket, handler)
_latest = None  # the Poll of the event loop
_serial = sys.stdin.buffer  # the chip's serial port, which no network has to be up for


def watch(host, handler):
    """Call handler() when one of the simulator's own sockets is readable."""
    _handlers[id(host)] = (host, handler)
    _own.register(host, _host.POLLIN)
    if _latest is not None:
        _latest.all.register(host, _host.POLLIN)
    clock.host_wait = wait_own


def unwatch(host):
    """The socket is about to be closed."""
    if _handlers.pop(id(host), None):
        _own.unregister(host)
        if _latest is not None:
            _latest.all.unregister(host)


def wait_own(wait_ms):
    """Serve our own sockets; wait so long for one of them to be readable, -1 for ever."""
    if not _handlers and wait_ms < 0:
        raise RuntimeError("nothing can wake the chip: no deadline, no event in the world, no socket")
    for found in _own.poll(wait_ms):
        _serve(found[0])


def arrived():
    """Whether the chip has something to receive; while it has no link nothing reaches it."""
    return (
        sockets.linked and _latest is not None and any(id(found[0]) not in _handlers for found in _latest.all.poll(0))
    )


def _serve(host):
    handler = _handlers.get(id(host))
    if handler is not None:
        handler[1]()
    return handler is not None


class Poll:
    """The object `select.poll()` gives."""

    def __init__(self):
        global _latest
        self._streams = []  # [stream, mask] of objects that know themselves whether they are ready
        self._hosted = {}  # id of what the host polls: the chip's stream
        self._serial = False
        self.all = _host.poll()
        for host, _ in _handlers.values():
            self.all.register(host, _host.POLLIN)
        _latest = self

    def register(self, stream, mask=5):
        """Look at a stream from now on; a second time: with another mask."""
        host = sockets.host_of(stream)
        if host is _serial:
            self._serial = True
            _own.register(host, mask)
            self.all.register(host, mask)
        elif host is None:
            for entry in self._streams:
                if entry[0] is stream:
                    entry[1] = mask
                    return
            self._streams.append([stream, mask])
        else:
            self._hosted[id(host)] = stream
            self.all.register(host, mask)

    modify = register

    def unregister(self, stream):
        """Forget a stream."""
        host = sockets.host_of(stream)
        if host is _serial:
            self._serial = False
            _own.unregister(host)
            self.all.unregister(host)
        elif host is None:
            for index in range(len(self._streams)):
                if self._streams[index][0] is stream:
                    self._streams.pop(index)
                    return
        elif self._hosted.pop(id(host), None) is not None:
            self.all.unregister(host)

    def _scan(self, wait_ms):
        found = ()
        for entry in self._streams:
            flags = entry[0].ioctl(_STREAM_POLL, entry[1])
            if flags:
                found += ((entry[0], flags),)
                wait_ms = 0
        if self._hosted and sockets.linked:
            polled = self.all
        elif wait_ms:
            if wait_ms < 0 and not _handlers and not self._serial:
                raise RuntimeError("nothing can wake the loop: no deadline, no event in the world, no socket")
            polled = _own
        elif self._serial:
            polled = _own
        else:
            return found
        for ready in polled.poll(wait_ms):
            if ready[0] is _serial:
                found += ((_serial, ready[1]),)
            elif not _serve(ready[0]):
                stream = self._hosted.get(id(ready[0]))
                if stream is not None:
                    found += ((stream, ready[1]),)
        return found

    def ipoll(self, timeout_ms=-1, flags=0):
        """Return what is ready. May return nothing before the time is over: the world may have woken a task."""
        found = self._scan(0)
        if found or not timeout_ms:
            clock.turn()
            if not clock.virtual:
                wait_own(0)
            return found
        until_us = None if timeout_ms < 0 else (clock.now_us() // 1000 + timeout_ms) * 1000
        while True:
            wait_ms = sockets.busy_ms() if clock.virtual and self._hosted else 0
            if not wait_ms:
                wait_ms = clock.step(until_us, True)
            found = self._scan(wait_ms)
            clock.run_due()
            # asyncio asks without an end only while it has no task to run, and must not go on before it has one.
            if found or until_us is not None or tasks.any_scheduled():
                return found

    def poll(self, timeout_ms=-1):
        """Return a list of what is ready within the time."""
        until_us = None if timeout_ms < 0 else clock.now_us() + timeout_ms * 1000
        while True:
            left_ms = -1 if until_us is None else max(0, (until_us - clock.now_us() + 999) // 1000)
            found = self.ipoll(left_ms)
            if found or not left_ms:
                return list(found)


poll = Poll

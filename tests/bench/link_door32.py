# The heap of a door's link on the 32-bit MicroPython, run in phases by heap32.mjs: sync/ as a door carries it, its
# objects and buffers, connected to a canned broker and with the state published. What the link is given (keys, journal,
# list, host) stands before it is counted; asyncio's streams, counted with the whole door, and
# the TLS library are no part of it; our stream on top of that library is.
import asyncio
import gc
import sys

memory = gc.mem_alloc
done = False


class Thing:
    pass


class Socket:
    SOCK_STREAM = 1


class Os:
    @staticmethod
    def urandom(count):
        return bytes(count)


class WLAN:
    IF_STA = 0

    def __init__(self, interface):
        pass


class Stream:
    """A broker that takes the client and grants what it asks for."""

    def __init__(self):
        self.said = b"\x20\x02\x00\x00"
        self.news = asyncio.Event()
        self.published = 0

    def write(self, packet):
        if packet[0] == 0x82:
            topics = 0
            at = 4 if packet[1] < 128 else 5
            while at < len(packet):
                at += 3 + (packet[at] << 8 | packet[at + 1])
                topics += 1
            self.said += bytes((0x90, 2 + topics, 0, 1)) + b"\1" * topics
            self.news.set()
        elif packet[0] & 0xF0 == 0x30:
            self.published += 1

    async def drain(self):
        pass

    async def readinto(self, buf):
        while not self.said:
            self.news.clear()
            await self.news.wait()
        count = min(len(buf), len(self.said))
        buf[:count] = self.said[:count]
        self.said = self.said[count:]
        return count


stream = Stream()


async def open_stream():
    return stream


def yes(wlan):
    return True


def address(wlan):
    return ("10.0.0.2",)


sys.modules["socket"] = Socket
sys.modules["os"] = Os
Network = Thing()
Network.WLAN = WLAN
WLAN.isconnected = yes
WLAN.ifconfig = address
sys.modules["network"] = Network


keys = Thing()
keys.door_key = bytes(32)
keys.wifi_secret = "secret"
journal = Thing()
journal.epoch = b"EPCH"
journal.head = journal.acked = journal.boot = 1
journal.chain = bytes(7)
journal.oldest = lambda: 1
allowlist = Thing()
allowlist.office_epoch = 1
allowlist.revision = 5
allowlist.reconciling = None
host = Thing()
host.state = lambda: {"door": "secured", "lock": "locked", "alarms": [], "clock": "floor", "t": 5, "sw": "0.1"}
host.may_connect = lambda: True
host.monotonic_s = lambda: 100
settings = {
    "host": "broker.lan",
    "port": 8883,
    "tls": False,
    "renew_port": 0,
    "site": "bench",
    "door": "one",
    "keepalive_s": 60,
    "wifi_ssid": "bench",
}

gc.collect()

# --- 0 ms: its code
try:
    from sync.link import Link
    from sync.mqtt import Mqtt
    from sync.network import Backoff, Dialer, Wifi

    __import__("sync.tlsstream")
except ImportError:
    Link = None  # the module without it, to be compared with
gc.collect()

# --- 0 ms: its objects and buffers
print("@code", memory())
if Link:
    link = Link(settings, keys, journal, allowlist, host)
    link._dialer.open = open_stream
    for each in (Link, Mqtt, Backoff, Dialer, Wifi):
        each.__init__ = None  # as firmware/forget.py does when a door is put together
gc.collect()

# --- 0 ms: its tasks
print("@constructed", memory())
if Link:
    asyncio.create_task(link.run())

# --- 9000 ms: connected
gc.collect()

# --- 0 ms: all of it
if Link and not (link.connected and stream.published):
    raise RuntimeError("the link did not connect: %r" % link.last_error)
print("@connected", memory())

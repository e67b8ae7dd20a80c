"""The module `network` of the simulated chip: one Wi-Fi station.

    wlan = network.WLAN(network.WLAN.IF_STA)
    wlan.active(True)
    wlan.connect("door", "secret")  # after 1.5 s of the world's time, if the network is there

As the IDF does by itself the station tries again after a failure or a loss, for ever unless `reconnects` says
otherwise.
"""

from micropython import const

from boards.sim import clock, sockets

STA_IF = 0
AP_IF = 1
STAT_IDLE = 1000
STAT_CONNECTING = 1001
STAT_GOT_IP = 1010
STAT_BEACON_TIMEOUT = 200
STAT_NO_AP_FOUND = 201
STAT_WRONG_PASSWORD = 202
STAT_ASSOC_FAIL = 203
STAT_HANDSHAKE_TIMEOUT = 204

_CONNECT_US = const(1500000)
_ADDRESSES = ("192.168.4.17", "255.255.255.0", "192.168.4.1", "192.168.4.1")

_there = True
_host_name = "mpy-esp32"


def set_network(there):
    """The world: the access point is in reach, or not."""
    global _there
    if _there != there:
        _there = there
        clock.stir()
        if not there:
            _station.lose()


def network_is_there():
    """Whether the access point is in reach."""
    return _there


def hostname(name=None):
    """Read or set the name that DHCP tells."""
    global _host_name
    if name is None:
        return _host_name
    _host_name = name


def country(code=None):
    """The regulatory domain; of no effect here."""
    return "CN" if code is None else None


class WLAN:
    """The station; there is one object, as on the chip."""

    IF_STA = STA_IF
    IF_AP = AP_IF
    PM_NONE = 0
    PM_PERFORMANCE = 1
    PM_POWERSAVE = 2

    def __new__(cls, interface=STA_IF):
        """Return the one station."""
        if interface != STA_IF:
            raise ValueError("the simulated board has a station only")
        return _station

    def __init__(self, interface=STA_IF):
        """Nothing happens yet."""

    def _prepare(self):
        self._active = False
        self._wanted = False  # connect was called
        self._status = STAT_IDLE
        self._attempt = None
        self._tries = 0
        self._ssid = ""
        self._config = {
            "mac": b"\x24\x6f\x28\x00\x00\x01",
            "pm": self.PM_PERFORMANCE,
            "reconnects": -1,
            "txpower": 20.0,
        }

    def active(self, on=None):
        """Switch the radio."""
        if on is None:
            return self._active
        if not on:
            self.disconnect()
        self._active = bool(on)
        return self._active

    def connect(self, ssid=None, key=None, bssid=None):
        """Begin to connect."""
        if not self._active:
            raise OSError("Wifi Not Started")
        if self._status == STAT_CONNECTING:
            raise OSError("Wifi Internal Error")  # as the IDF says while it is at it
        if ssid is not None:
            self._ssid = ssid
        self._wanted = True
        self._tries = 0
        self._begin()

    def _begin(self):
        sockets.linked = False
        self._status = STAT_CONNECTING
        clock.cancel(self._attempt)
        self._attempt = clock.at_us(clock.now_us() + _CONNECT_US, self._settle)

    def _settle(self):
        self._attempt = None
        if _there:
            self._status = STAT_GOT_IP
            self._tries = 0
            sockets.linked = True
        else:
            self._fail(STAT_NO_AP_FOUND)

    def _fail(self, status):
        limit = self._config["reconnects"]
        again = self._wanted and (limit < 0 or self._tries < limit)
        self._tries += 1
        self._status = status
        sockets.linked = False
        # Its status stays that of the last failure while it tries again.
        self._attempt = clock.at_us(clock.now_us() + _CONNECT_US, self._settle) if again else None

    def lose(self):
        """The world: the access point is gone."""
        if self._status == STAT_GOT_IP:
            self._fail(STAT_BEACON_TIMEOUT)

    def disconnect(self):
        """Let go, and do not try again."""
        self._wanted = False
        clock.cancel(self._attempt)
        self._attempt = None
        self._status = STAT_IDLE
        sockets.linked = False

    def isconnected(self):
        """Whether there is a link and an address."""
        return self._status == STAT_GOT_IP

    def status(self, what=None):
        """How the connection stands, or the strength of the signal."""
        if what is None:
            return self._status
        if what != "rssi":
            raise ValueError("unknown status param")
        if self._status != STAT_GOT_IP:
            raise OSError("Wifi Not Connected")
        return -58

    def config(self, *names, **values):
        """Read one parameter, or set some."""
        if names:
            if names[0] in ("ssid", "essid"):
                return self._ssid
            if names[0] not in self._config:
                raise ValueError("unknown config param")
            return self._config[names[0]]
        for name, value in values.items():
            if name not in self._config and name not in ("channel", "hostname", "protocol"):
                raise ValueError("unknown config param")
            self._config[name] = value

    def ifconfig(self, addresses=None):
        """Address, mask, gateway and name server."""
        return _ADDRESSES if self.isconnected() else ("0.0.0.0",) * 4

    def ipconfig(self, name=None, **values):
        """Read one address parameter."""
        if name == "addr4":
            return self.ifconfig()[:2]
        return _ADDRESSES[2] if name == "gw4" else None


_station = object.__new__(WLAN)
_station._prepare()

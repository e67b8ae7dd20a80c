# The heap of a whole door on the 32-bit MicroPython, run in phases by heap32.mjs. The board's C modules, which are no
# part of a door's heap, are replaced by the least that lets it start: a reader to which no card comes, no network. The
# models of boards/sim would distort the figure, because their names fill the interpreter's table of names.
import asyncio
import gc
import json
import sys

memory = gc.mem_alloc
done = False


class Pin:
    IN = 1
    OUT = 3
    IRQ_RISING = 1
    IRQ_FALLING = 2

    CLOSED = (36, 39, 27)  # leaf, tamper and bolt, as at a door at rest

    def __init__(self, number, mode=0, value=0):
        self.rests = number in Pin.CLOSED

    def __call__(self, level=None):
        return 0 if self.rests else 1

    def irq(self, handler, trigger):
        self.handler = handler


class SPI:
    def __init__(self, number, baudrate=0, sck=None, mosi=None, miso=None):
        pass

    registers = bytearray(64)
    registers[0x37] = 0x92  # VersionReg
    fifo = b""

    def init(self, baudrate):
        pass

    def write(self, data):
        register = data[0] >> 1
        if register == 0x09:
            SPI.fifo = bytes(data[1:])
        elif register != 0x01 or data[1] != 0x0F:  # a reset would clear what the driver sets next
            SPI.registers[register] = data[1]

    def write_readinto(self, data, result):
        fifo = SPI.fifo
        taken = 0
        for index in range(1, len(data)):
            register = data[index - 1] >> 1 & 0x3F
            value = SPI.registers[register]
            if register == 0x09:
                value = fifo[taken]
                taken += 1
            elif register == 0x04:
                value = 0x45  # ComIrqReg: sent, and the timer ran out
            result[index] = value


class WDT:
    def __init__(self, timeout=0):
        pass

    def feed(self):
        pass


class ADC:
    ATTN_11DB = 3

    def __init__(self, pin, atten=0):
        self.pin = pin

    def read_uv(self):
        return 1_571_000 if self.pin() else 1_031_000  # 2 or 1 kohm below 2.2 kohm at 3.3 V


class RTC:
    kept = b""

    def memory(self, data=None):
        if data is None:
            return RTC.kept
        RTC.kept = bytes(data)

    def datetime(self, _parts):
        pass


class Machine:
    PWRON_RESET = 1


def reset_cause():
    return 1


for thing in (ADC, Pin, SPI, WDT, RTC, reset_cause):
    setattr(Machine, thing.__name__, thing)


class Partition:
    TYPE_DATA = 1
    flash = {}

    @staticmethod
    def find(kind, label):
        return [Partition(label)]

    def __init__(self, label):
        self._data = Partition.flash.setdefault(label, bytearray(b"\xff" * 0x80000))

    def readblocks(self, number, buf, offset=0):
        at = number * 4096 + offset
        buf[:] = self._data[at : at + len(buf)]

    def writeblocks(self, number, buf, offset=0):
        at = number * 4096 + offset
        for index in range(len(buf)):
            self._data[at + index] &= buf[index]

    def ioctl(self, operation, argument):
        if operation == 6:
            self._data[argument * 4096 : argument * 4096 + 4096] = b"\xff" * 4096
            return 0
        return 4096 if operation == 5 else len(self._data) // 4096


class NVS:
    def __init__(self, name):
        self._blob = b""

    def get_blob(self, name, buf):
        buf[: len(self._blob)] = self._blob
        return len(self._blob)

    def set_blob(self, name, blob):
        self._blob = bytes(blob)

    def get_i32(self, name):
        raise OSError(-4354)  # ESP_ERR_NVS_NOT_FOUND

    def set_i32(self, name, value):
        pass

    def commit(self):
        pass


class Chip:
    pass


Chip.Partition = Partition
Chip.NVS = NVS


class WLAN:
    IF_STA = 0
    PM_NONE = 0

    def __init__(self, interface):
        pass

    def active(self, on=None):
        return False

    def isconnected(self):
        return False

    def status(self):
        return 0

    def config(self, **options):
        pass

    def connect(self, name, secret):
        pass

    def disconnect(self):
        pass


class Network:
    STAT_IDLE = 0


Network.WLAN = WLAN


class Socket:
    pass


class Cryptolib:
    @staticmethod
    def aes(key, mode, vector=None):
        pass


sys.modules["machine"] = Machine
sys.modules["esp32"] = Chip
sys.modules["network"] = Network
sys.modules["socket"] = Socket
sys.modules["cryptolib"] = Cryptolib
sys.modules["tls"] = Chip  # a C module; nothing of it is called without a network

with open("/provision.json", "w") as file:
    json.dump(
        {
            "door_key": "11" * 32,
            "journal_key": "22" * 16,
            "journal_epoch": "01020304",
            "wifi_secret": "secret",
            # All kinds of credential that need their code in memory, and two versions of each key
            "card_keys": [
                [kind, version, 1, "33" * 16] for kind in ("classic", "ntag424", "desfire") for version in (2, 1)
            ],
            "settings": {
                "site": "bench",
                "door": "one",
                "host": "127.0.0.1",
                "wifi_ssid": "bench",
                "kinds": ["uid", "classic", "ntag424", "desfire"],
                # Schedules, holidays and supervised wires need code that other doors do without
                "policy": {
                    "groups": {str(group): {"week": ["mon-fri 07:00-22:00", "sat 08:00-12:00"]} for group in range(8)},
                    "holidays": ["2026-10-01/2026-10-07"] * 30,
                    "free": ["mon-fri 08:00-18:00"],
                    "armed": ["22:00-06:00"],
                },
                "contacts": ["leaf", "exit", "fire", "key", "intercom", "tamper", "bolt"],
                "supervised": ["leaf", "exit", "fire", "key", "intercom", "tamper"],
            },
        },
        file,
    )
loaded = set(sys.modules)
gc.collect()

# --- 0 ms: the heap before anything of ours
base = memory()

# --- 0 ms: the door
import firmware.main

asyncio.create_task(firmware.main.build().run())

# --- 45000 ms: in service, the list surveyed; a door with TLS has this while it is connected
__import__("sync.tlsstream")

gc.collect()

# --- 0 ms: flash stands in the heap here
print("@heap", memory() - base - sum(len(region) for region in Partition.flash.values()))
for name in sys.modules:
    if name not in loaded:
        print("@loaded." + name, 0)

# --- 0 ms: the most that lies beside it while the list is changed, reconciled, rewritten
__import__("storage.cardpages")
__import__("sync.downlink")

gc.collect()

# --- 0 ms: loaded
print("@changing", memory() - base - sum(len(region) for region in Partition.flash.values()))

# --- 0 ms: the most that lies beside it while the order to apply a parcel is carried out, over TLS
from storage import ondemand

for name in list(sys.modules):
    if name.startswith("storage.card"):
        ondemand.drop((name,))
for name in ("sync.tlsstream", "sync.orders", "firmware.commands", "firmware.parcels"):
    __import__(name)
buffers = bytearray(256), bytearray(256), bytearray(300)  # pieces of the parcel, keys
gc.collect()

# --- 0 ms: loaded
print("@ordered", memory() - base - sum(len(region) for region in Partition.flash.values()))

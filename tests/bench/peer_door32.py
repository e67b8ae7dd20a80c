# The heap of a known MQTT client for MicroPython on the 32-bit build, in phases (heap32.mjs), precompiled as ours.
# It has no journal, no lists and no authentication of what arrives; those a user writes beside it.
import asyncio
import gc
import sys

memory = gc.mem_alloc
done = False


class Socket:
    pass


class Machine:
    @staticmethod
    def unique_id():
        return b"123456"


class WLAN:
    def __init__(self, interface):
        pass


class Network:
    STA_IF = 0


Network.WLAN = WLAN
sys.modules["socket"] = Socket
sys.modules["machine"] = Machine
sys.modules["network"] = Network
sys.modules["uasyncio"] = asyncio
gc.collect()

# --- 0 ms: what a door has without it
base = memory()

# --- 0 ms: the client
import mqtt_async

mqtt_async.config.server = "broker.lan"
mqtt_async.config.ssid = "bench"
client = mqtt_async.MQTTClient(mqtt_async.config)
gc.collect()

# --- 0 ms: constructed
print("@client", memory() - base)

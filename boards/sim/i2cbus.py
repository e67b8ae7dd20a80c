"""The I2C bus of the simulated board, byte by byte.

    i2cbus.attach(0x68, device)

A device has start(reading), write(byte) -> acknowledged, read() -> byte and stop().
"""

from boards.sim import clock

devices = {}  # address: device
_ENODEV = 19
_EIO = 5


def attach(address, device):
    """Wire a device to the bus."""
    devices[address] = device


def _start(freq, address, reading, count):
    clock.charge_us((count + 1) * 9000000 // freq + 1)
    device = devices.get(address)
    if device is None or getattr(device, "absent", False):
        raise OSError(_ENODEV)
    device.start(reading)
    return device


def write(freq, address, buf, stop=True):
    """Send bytes; return how many were acknowledged."""
    device = _start(freq, address, False, len(buf))
    count = 0
    for byte in buf:
        if not device.write(byte):
            device.stop()
            raise OSError(_EIO)
        count += 1
    if stop:
        device.stop()
    return count


def read(freq, address, buf, stop=True):
    """Receive as many bytes as buf holds."""
    device = _start(freq, address, True, len(buf))
    for index in range(len(buf)):
        buf[index] = device.read()
    if stop:
        device.stop()

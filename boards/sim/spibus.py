"""The SPI bus of the simulated board: bytes go to the device whose chip select is low.

    spibus.attach(16, chip)  # chip.select(), chip.deselect(), chip.exchange(byte_out) -> byte_in

Without a device MISO reads ones: the line has a pull-up. Two selected devices pull it down together.
"""

from boards.sim import clock, pins

call_us = 0  # what one call of a method of machine.SPI costs the chip

baudrate = 0  # of the transfer under way

_selected = []


def attach(cs_pin, device):
    """Wire a device to the bus."""

    def follow(_pin, level):
        if level:
            if device in _selected:
                _selected.remove(device)
                device.deselect()
        elif device not in _selected:
            _selected.append(device)
            device.select()

    pins.on_change(cs_pin, follow)
    if not pins.level(cs_pin):
        follow(cs_pin, 0)


def transfer(rate, mode, out, into, count):
    """Clock `count` bytes at `rate`: `out` is a buffer or one byte to repeat, `into` a buffer or None."""
    global baudrate
    baudrate = rate
    if call_us:
        clock.charge_us(call_us)
    repeat = isinstance(out, int)
    # A device that is clocked in another mode than it samples in understands nothing; all of ours want mode 0.
    devices = () if mode else _selected
    for index in range(count):
        sent = out if repeat else out[index]
        heard = 0xFF
        for device in devices:
            heard &= device.exchange(sent)
        if into is not None:
            into[index] = heard
    clock.charge_us(count * 8000000 // rate + 1)

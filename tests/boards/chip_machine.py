"""machine on the simulated board: pins and their resistors, interrupts, buses, watchdog, RTC, resets."""

from unittest import TestCase

import board
import machine
from boards.sim import clock, i2cbus, pins, spibus
from machine import Pin


class Wired(TestCase):
    def setUp(self):
        clock.setup("virtual")
        pins.forget()
        Pin._all.clear()
        self.seen = []

    def note(self, pin, level):
        self.seen.append((pin, level, clock.now_us()))


class Pins(Wired):
    def test_chip_beats_world_beats_board_beats_chip_resistor(self):
        self.assertEqual(pins.level(4), 0)
        pin = Pin(4, Pin.IN, Pin.PULL_UP)
        self.assertEqual(pin(), 1)
        pins.external_pull(4, 0)
        self.assertEqual(pin(), 0)
        pins.drive(4, 1)
        self.assertEqual(pin(), 1)
        pin.init(Pin.OUT, value=0)
        self.assertEqual(pin(), 0)
        pin.init(Pin.IN, None)
        self.assertEqual(pin(), 1)
        pins.drive(4, None)
        self.assertEqual(pin(), 0)
        pins.external_pull(4, None)
        self.assertEqual(pin(), 0)

    def test_value_is_set_before_the_output_is_switched_on(self):
        pins.external_pull(25, 1)
        pins.on_change(25, self.note)
        Pin(25, Pin.OUT, value=1)
        self.assertEqual(self.seen, [])
        Pin(25, Pin.OUT, value=0)
        self.assertEqual([entry[:2] for entry in self.seen], [(25, 0)])

    def test_one_object_per_pin(self):
        self.assertTrue(Pin(5) is Pin(5))
        self.assertTrue(Pin(Pin(5)) is Pin(5))
        relay = Pin(25, Pin.OUT, value=1)
        Pin(25)
        self.assertEqual(relay.value(), 1)
        relay.off()
        self.assertEqual(relay(), 0)
        relay.on()
        relay(0)
        self.assertEqual(pins.level(25), 0)

    def test_open_drain(self):
        pins.external_pull(21, 1)
        pin = Pin(21, Pin.OPEN_DRAIN, value=1)
        self.assertEqual(pin(), 1)
        pin(0)
        self.assertEqual(pin(), 0)

    def test_what_the_chip_does_not_have_is_refused(self):
        self.assertRaises(ValueError, Pin, 40)
        self.assertRaises(ValueError, Pin, 20)
        self.assertRaises(ValueError, Pin, 34, Pin.OUT)
        self.assertRaises(ValueError, Pin, 4, 99)
        pin = Pin(34, Pin.IN, Pin.PULL_UP)  # accepted, and of no effect
        self.assertEqual(pin(), 0)

    def test_a_loop_that_polls_a_pin_comes_to_its_end(self):
        pins.drive(34, 0)
        clock.at_us(5000, pins.drive, 34, 1)
        pin = Pin(34, Pin.IN)
        while not pin():
            pass
        self.assertEqual(clock.now_us(), 5000)

    def test_pwm_makes_a_level(self):
        tone = machine.PWM(Pin(26), freq=2700, duty_u16=32768)
        self.assertEqual((pins.level(26), tone.freq(), tone.duty()), (1, 2700, 512))
        tone.duty(0)
        self.assertEqual(pins.level(26), 0)
        tone.init(freq=100, duty_u16=1)
        tone.deinit()
        self.assertEqual(pins.level(26), 0)


class Interrupts(Wired):
    def handler(self, pin):
        self.note(pin._number, pin())

    def test_soft_ones_run_before_the_program_goes_on(self):
        Pin(35, Pin.IN).irq(self.handler, Pin.IRQ_RISING)
        clock.at_us(100, pins.drive, 35, 1)
        clock.at_us(200, pins.drive, 35, 0)
        clock.at_us(300, pins.drive, 35, 1)
        clock.sleep_us(1000)
        self.assertEqual([entry[1] for entry in self.seen], [1, 1])
        self.assertTrue(100 <= self.seen[0][2] < 110 and 300 <= self.seen[1][2] < 310)

    def test_both_edges_and_none(self):
        pin = Pin(35, Pin.IN)
        pin.irq(self.handler)
        clock.at_us(100, pins.drive, 35, 1)
        clock.at_us(200, pins.drive, 35, 0)
        clock.sleep_us(1000)
        self.assertEqual([entry[1] for entry in self.seen], [1, 0])
        pin.irq(None)
        pins.drive(35, 1)
        clock.sleep_us(10)
        self.assertEqual(len(self.seen), 2)

    def test_a_hard_one_runs_at_once_and_before_a_soft_one(self):
        order = []
        Pin(35, Pin.IN).irq(lambda _pin: order.append("soft"))
        Pin(34, Pin.IN).irq(lambda _pin: order.append("hard"), hard=True)

        def event():
            pins.drive(35, 1)
            pins.drive(34, 1)
            order.append("world")

        order.extend([None] * 8)  # so that appending needs no heap
        del order[:]
        clock.at_us(10, event)
        clock.sleep_us(20)
        self.assertEqual(order, ["hard", "world", "soft"])

    def test_a_hard_one_that_allocates_is_switched_off(self):
        Pin(34, Pin.IN).irq(lambda _pin: self.seen.append(bytearray(100)), hard=True)
        pins.drive(34, 1)
        pins.drive(34, 0)
        self.assertEqual(self.seen, [])
        self.assertEqual(len(bytearray(100)), 100)  # the heap is open again

    def test_a_soft_one_that_raises_is_switched_off(self):
        def handler(_pin):
            self.seen.append(1)
            raise ValueError("in a handler")

        Pin(35, Pin.IN).irq(handler)
        for level in (1, 0, 1):
            pins.drive(35, level)
            clock.charge_us(1)
        self.assertEqual(self.seen, [1])

    def test_disabled_interrupts_come_later(self):
        hard = bytearray(1)

        def count(_pin):
            hard[0] += 1

        Pin(34, Pin.IN).irq(count, hard=True)
        Pin(35, Pin.IN).irq(self.handler)
        state = machine.disable_irq()
        pins.drive(34, 1)
        pins.drive(35, 1)
        clock.charge_us(50)
        self.assertEqual((self.seen, hard[0]), ([], 0))
        inner = machine.disable_irq()
        machine.enable_irq(inner)
        self.assertEqual(self.seen, [])
        machine.enable_irq(state)
        self.assertEqual(([entry[0] for entry in self.seen], hard[0]), ([35], 1))

    def test_a_bouncing_contact_fires_at_each_edge(self):
        Pin(34, Pin.IN).irq(self.handler)
        for index in range(7):
            clock.at_us(1000 + 100 * index, pins.drive, 34, 1 - index % 2)
        clock.sleep_us(5000)
        self.assertEqual([entry[1] for entry in self.seen], [1, 0, 1, 0, 1, 0, 1])

    def test_timer(self):
        timer = machine.Timer(0, period=10, callback=lambda _timer: self.note(0, 0))
        clock.sleep_us(35000)
        timer.deinit()
        clock.sleep_us(35000)
        self.assertEqual([entry[2] for entry in self.seen], [10000, 20000, 30000])
        timer.init(mode=machine.Timer.ONE_SHOT, freq=1000, callback=lambda _timer: self.note(1, 0))
        clock.sleep_us(35000)
        self.assertEqual(self.seen[3:], [(1, 0, 71000)])
        self.assertRaises(ValueError, timer.init)


class Resets(Wired):
    def test_a_cold_boot_pulses_the_boot_pins_and_no_other(self):
        for pin in range(40):
            pins.on_change(pin, self.note)
        pins.external_pull(25, 0)
        Pin(25, Pin.OUT, value=1)
        Pin(34, Pin.IN).irq(lambda _pin: self.note("irq", 0))
        del self.seen[:]
        pins.reset("power_on")
        self.assertEqual(self.seen[0][:2], (25, 0))  # floats, and the resistor has it
        self.assertEqual({pin for pin, _, _ in self.seen[1:]}, {0, 1, 3, 5, 14, 15})
        self.assertTrue(clock.now_us() > 200000)
        pins.drive(34, 1)
        clock.charge_us(1)
        self.assertFalse("irq" in [pin for pin, _, _ in self.seen])

    def test_no_pin_of_this_board_is_a_boot_pin(self):
        used = [board.PIN_RELAY] + [number for _, number, _ in board.CONTACTS] + list(board.PINS_SIGNALS)
        for number in used:
            self.assertFalse(number in (0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 15))

    def test_a_soft_reset_leaves_outputs_alone(self):
        Pin(25, Pin.OUT, value=1)
        pins.on_change(25, self.note)
        pins.reset("soft")
        self.assertEqual((pins.level(25), self.seen), (1, []))

    def ends(self, fn):
        try:
            fn()
        except clock.Ended as end:
            clock.setup("virtual")
            return end.code, end.kind
        self.fail("must end")

    def test_resets_end_the_process(self):
        self.assertEqual(self.ends(machine.reset), (87, "hard"))
        self.assertEqual(self.ends(machine.soft_reset), (87, "soft"))

    def test_watchdog(self):
        dog = machine.WDT(timeout=8000)
        for _ in range(5):
            clock.sleep_us(7999000)
            dog.feed()
        clock.at_us(clock.now_us() + 7999999, self.note, 0, 0)
        self.assertEqual(self.ends(lambda: clock.sleep_us(9000000)), (87, "watchdog"))
        self.assertEqual(len(self.seen), 1)
        self.assertRaises(ValueError, machine.WDT, 1)
        self.assertRaises(ValueError, machine.WDT, 0, 0)

    def test_watchdog_bites_in_a_busy_loop(self):
        machine.WDT(timeout=100)

        def busy():
            while True:
                clock.ticks_ms()

        self.assertEqual(self.ends(busy), (87, "watchdog"))

    def test_causes(self):
        for kind, cause in (
            ("power_on", machine.PWRON_RESET),
            ("watchdog", machine.WDT_RESET),
            ("panic", machine.HARD_RESET),
            ("hard", machine.HARD_RESET),
            ("soft", machine.SOFT_RESET),
        ):
            machine.chip["kind"] = kind
            self.assertEqual(machine.reset_cause(), cause)
        machine.chip["kind"] = "power_on"


class Clocks(Wired):
    def test_rtc_sets_the_system_time(self):
        from boards.sim import chip_time

        rtc = machine.RTC()
        self.assertEqual(rtc.datetime()[:7], (2000, 1, 1, 5, 0, 0, 0))
        rtc.datetime((2026, 3, 2, 0, 7, 10, 59, 0))
        clock.sleep_us(1500000)
        self.assertEqual(rtc.datetime(), (2026, 3, 2, 0, 7, 11, 0, 500000))
        self.assertEqual(chip_time.gmtime()[:6], (2026, 3, 2, 7, 11, 0))
        self.assertEqual(clock.world_unix_s(), 1767225601)  # the world does not follow the door's clock

    def test_rtc_memory(self):
        machine.RTC().memory(b"fed at 17")
        self.assertEqual(machine.RTC().memory(), b"fed at 17")
        self.assertRaises(ValueError, machine.RTC().memory, bytes(2049))
        machine.RTC().memory(b"")

    def test_frequency_and_identity(self):
        machine.freq(240000000)
        self.assertEqual(machine.freq(), 240000000)
        self.assertRaises(ValueError, machine.freq, 1)
        self.assertEqual(len(machine.unique_id()), 6)


class Echo:
    """A device on the SPI bus that answers each byte with the one before it."""

    def __init__(self):
        self.log = []
        self.last = 0

    def select(self):
        self.log.append("select")

    def deselect(self):
        self.log.append("deselect")

    def exchange(self, byte):
        answer, self.last = self.last, byte
        return answer


class Spi(Wired):
    def setUp(self):
        super().setUp()
        del spibus._selected[:]
        pins.external_pull(16, 1)
        self.device = Echo()
        spibus.attach(16, self.device)
        self.cs = Pin(16, Pin.OUT, value=1)
        self.spi = machine.SPI(2, baudrate=1000000, sck=Pin(18), mosi=Pin(23), miso=Pin(19))

    def tearDown(self):
        spibus.call_us = 0

    def test_nobody_selected_reads_ones(self):
        self.assertEqual(self.spi.read(3), b"\xff\xff\xff")
        self.assertEqual(self.device.log, [])

    def test_bytes_go_to_the_selected_device(self):
        self.cs(0)
        self.assertEqual(self.spi.read(3, 0x55), b"\x00\x55\x55")
        buf = bytearray(b"\x01\x02\x03")
        self.spi.write_readinto(buf, buf)
        self.assertEqual(buf, b"\x55\x01\x02")
        self.spi.write(b"\x09")
        into = bytearray(1)
        self.spi.readinto(into)
        self.assertEqual(into, b"\x09")
        self.cs(1)
        self.cs(1)
        self.assertEqual(self.device.log, ["select", "deselect"])
        self.assertRaises(ValueError, self.spi.write_readinto, b"12", bytearray(1))

    def test_floating_chip_select_follows_its_resistor(self):
        self.cs(0)
        self.cs.init(Pin.IN)
        self.assertEqual(self.device.log, ["select", "deselect"])

    def test_another_mode_is_not_understood(self):
        self.cs(0)
        self.spi.init(polarity=1)
        self.assertEqual(self.spi.read(2), b"\xff\xff")
        self.assertEqual(self.device.last, 0)

    def test_bits_and_calls_take_time(self):
        began_us = clock.now_us()
        self.spi.write(bytes(10))
        self.assertEqual(clock.now_us() - began_us, 81)
        spibus.call_us = 80
        began_us = clock.now_us()
        self.spi.write(bytes(10))
        self.assertEqual(clock.now_us() - began_us, 161)

    def test_two_selected_devices_disturb_each_other(self):
        other = Echo()
        other.last = 0x0F
        self.device.last = 0xF5
        spibus.attach(17, other)  # pin 17 floats at 0
        self.cs(0)
        self.assertEqual(self.spi.read(1), b"\x05")


class Registers:
    """A device on the I2C bus: a register number, then bytes."""

    def __init__(self):
        self.memory = bytearray(range(16))
        self.at = 0
        self.stops = 0

    def start(self, reading):
        self.first = not reading

    def write(self, byte):
        if self.first:
            self.at = byte
            self.first = False
            return byte < 16
        self.memory[self.at] = byte
        self.at += 1
        return True

    def read(self):
        self.at += 1
        return self.memory[self.at - 1]

    def stop(self):
        self.stops += 1


class I2c(Wired):
    def test_registers(self):
        device = Registers()
        i2cbus.attach(0x68, device)
        bus = machine.I2C(0, scl=Pin(22), sda=Pin(21), freq=100000)
        self.assertEqual(bus.scan(), [0x68])
        began_us = clock.now_us()
        self.assertEqual(bus.readfrom_mem(0x68, 3, 2), b"\x03\x04")
        self.assertEqual(device.stops, 1)  # a repeated start lies between
        self.assertTrue(400 < clock.now_us() - began_us < 600)
        bus.writeto_mem(0x68, 5, b"\xaa\xbb")
        self.assertEqual(bus.writeto(0x68, b"\x05"), 1)
        self.assertEqual(bus.readfrom(0x68, 3), b"\xaa\xbb\x07")
        for wrong in (lambda: bus.readfrom(0x69, 1), lambda: bus.writeto(0x69, b"")):
            try:
                wrong()
                self.fail("nobody is there")
            except OSError as error:
                self.assertEqual(error.errno, 19)
        self.assertRaises(OSError, bus.writeto, 0x68, b"\x20")


class Serial(Wired):
    def test_bytes_go_both_ways(self):
        heard = []

        class Device:
            def receive(self, data):
                heard.append(data)

        uart = machine.UART(1, 9600, tx=4, rx=5)
        self.assertEqual((uart.any(), uart.read(), uart.write(b"lost")), (0, None, 4))
        machine.UART.wired[1] = Device()
        uart.write(b"hello")
        self.assertEqual(heard, [b"hello"])
        uart.feed(bytes(300))
        self.assertEqual(uart.any(), 256)
        self.assertEqual(len(uart.read(10)), 10)
        self.assertEqual(len(uart.read()), 246)
        uart.init(115200)

"""The simulated station, and the host's sockets under virtual time as far as its link carries."""

from unittest import TestCase

from boards.sim.start import install

install()

import asyncio
import network
import select
import socket
import time

import usocket as host_socket
import utime as host_time
from boards.sim import clock, polling, sockets


def run_s(seconds):
    clock.sleep_us(int(seconds * 1000000))


class Station(TestCase):
    def setUp(self):
        clock.setup("virtual")
        network.set_network(True)
        network._station._prepare()
        self.wlan = network.WLAN(network.WLAN.IF_STA)

    def tearDown(self):
        sockets.linked = True

    def test_connects_after_a_second_and_a_half(self):
        self.assertFalse(self.wlan.active())
        self.assertRaises(OSError, self.wlan.connect, "door", "secret")
        self.wlan.active(True)
        self.wlan.config(pm=network.WLAN.PM_NONE, reconnects=3)
        self.assertEqual(self.wlan.status(), network.STAT_IDLE)
        self.wlan.connect("door", "secret")
        self.assertEqual(self.wlan.status(), network.STAT_CONNECTING)
        self.assertRaises(OSError, self.wlan.connect, "door", "secret")
        run_s(1.49)
        self.assertFalse(self.wlan.isconnected() or sockets.linked)
        self.assertEqual(self.wlan.ifconfig()[0], "0.0.0.0")
        run_s(0.02)
        self.assertTrue(self.wlan.isconnected() and sockets.linked)
        self.assertEqual(self.wlan.status(), network.STAT_GOT_IP)
        self.assertEqual(self.wlan.config("ssid"), "door")
        self.assertEqual(self.wlan.config("pm"), 0)
        self.assertEqual(len(self.wlan.config("mac")), 6)
        self.assertTrue(self.wlan.status("rssi") < 0)
        self.assertNotEqual(self.wlan.ifconfig()[0], "0.0.0.0")
        self.assertEqual(self.wlan.ipconfig("addr4"), self.wlan.ifconfig()[:2])

    def test_one_object(self):
        self.assertTrue(network.WLAN() is network.WLAN(network.STA_IF))
        self.assertRaises(ValueError, network.WLAN, network.AP_IF)

    def test_a_network_that_is_not_there_is_sought_again(self):
        network.set_network(False)
        self.wlan.active(True)
        self.wlan.connect("door", "secret")
        run_s(2)
        self.assertEqual(self.wlan.status(), network.STAT_NO_AP_FOUND)
        run_s(100)
        network.set_network(True)
        run_s(1.6)
        self.assertTrue(self.wlan.isconnected())

    def test_a_lost_network_comes_back_by_itself(self):
        self.wlan.active(True)
        self.wlan.connect("door", "secret")
        run_s(2)
        network.set_network(False)
        self.assertFalse(self.wlan.isconnected() or sockets.linked)
        self.assertEqual(self.wlan.status(), network.STAT_BEACON_TIMEOUT)
        self.assertRaises(OSError, self.wlan.status, "rssi")
        run_s(10)
        network.set_network(True)
        run_s(2)
        self.assertTrue(self.wlan.isconnected())

    def test_only_so_many_times_if_told(self):
        network.set_network(False)
        self.wlan.active(True)
        self.wlan.config(reconnects=2)
        self.wlan.connect("door", "secret")
        run_s(10)
        network.set_network(True)
        run_s(10)
        self.assertFalse(self.wlan.isconnected())
        self.wlan.connect()
        run_s(2)
        self.assertTrue(self.wlan.isconnected())

    def test_disconnect_stays_away(self):
        self.wlan.active(True)
        self.wlan.connect("door", "secret")
        run_s(2)
        self.wlan.disconnect()
        self.assertFalse(self.wlan.isconnected())
        run_s(10)
        self.assertEqual(self.wlan.status(), network.STAT_IDLE)
        self.wlan.connect()
        self.wlan.active(False)
        run_s(10)
        self.assertFalse(self.wlan.isconnected())

    def test_wrong_names_are_refused(self):
        self.assertRaises(ValueError, self.wlan.config, "colour")
        self.assertRaises(ValueError, self.wlan.config, colour=1)
        self.assertRaises(ValueError, self.wlan.status, "colour")
        network.hostname("door-7")
        self.assertEqual(network.hostname(), "door-7")
        network.country("CN")


class Peer:
    """The other end: a listening socket of the host, served from within the simulator's waits."""

    def __init__(self):
        self.listener = host_socket.socket()
        self.listener.setsockopt(host_socket.SOL_SOCKET, host_socket.SO_REUSEADDR, 1)
        for self.port in range(30000 + host_time.ticks_us() % 20000, 60000):
            try:
                self.listener.bind(host_socket.getaddrinfo("127.0.0.1", self.port)[0][-1])
                break
            except OSError:
                continue
        self.listener.listen(1)
        self.heard = b""
        self.connection = None
        polling.watch(self.listener, self.accept)

    def accept(self):
        self.connection = self.listener.accept()[0]
        self.connection.setblocking(False)
        polling.watch(self.connection, self.receive)

    def receive(self):
        data = self.connection.read(100)
        if not data:
            polling.unwatch(self.connection)
            return
        self.heard += data
        self.connection.write(b"heard " + data)

    def close(self):
        polling.unwatch(self.listener)
        if self.connection:
            polling.unwatch(self.connection)
            self.connection.close()
        self.listener.close()


class Sockets(TestCase):
    def setUp(self):
        clock.setup("virtual")
        sockets.linked = True
        asyncio.new_event_loop()
        self.peer = Peer()

    def tearDown(self):
        self.peer.close()
        sockets.linked = True
        clock.host_wait = None

    def test_an_answer_comes_before_the_clock_jumps(self):
        async def main():
            reader, writer = await asyncio.open_connection("127.0.0.1", self.peer.port)
            began = time.ticks_ms()
            for number in range(5):
                writer.write(b"line %d\n" % number)
                await writer.drain()
                self.assertEqual(await asyncio.wait_for(reader.readline(), 3600), b"heard line %d\n" % number)
            self.assertTrue(time.ticks_diff(time.ticks_ms(), began) < 100)
            writer.close()
            await writer.wait_closed()

        asyncio.run(main())

    def test_the_clock_jumps_when_nothing_comes(self):
        async def main():
            reader, writer = await asyncio.open_connection("127.0.0.1", self.peer.port)
            began_ms = host_time.ticks_ms()
            for _ in range(1000):
                try:
                    await asyncio.wait_for(reader.readline(), 60)
                    self.fail("nobody sent anything")
                except asyncio.TimeoutError:
                    pass
            self.assertTrue(host_time.ticks_diff(host_time.ticks_ms(), began_ms) < 2000)
            writer.close()

        asyncio.run(main())
        self.assertTrue(clock.now_us() >= 60000000000)

    def test_without_a_link_nothing_moves_and_nothing_is_lost(self):
        async def main():
            reader, writer = await asyncio.open_connection("127.0.0.1", self.peer.port)
            writer.write(b"one\n")
            self.assertEqual(await reader.readline(), b"heard one\n")
            sockets.linked = False
            writer.write(b"two\n")
            try:
                await asyncio.wait_for(writer.drain(), 30)
                self.fail("cannot be sent")
            except asyncio.TimeoutError:
                pass
            self.peer.connection.write(b"meanwhile\n")
            try:
                await asyncio.wait_for(reader.readline(), 30)
                self.fail("cannot arrive")
            except asyncio.TimeoutError:
                pass
            self.assertEqual(self.peer.heard, b"one\n")
            sockets.linked = True
            await writer.drain()
            self.assertEqual(await reader.readline(), b"meanwhile\n")
            self.assertEqual(await reader.readline(), b"heard two\n")
            writer.close()

        asyncio.run(main())

    def test_a_connection_without_a_link_never_comes_about(self):
        async def main():
            sockets.linked = False
            began = time.ticks_ms()
            try:
                await asyncio.wait_for(asyncio.open_connection("127.0.0.1", self.peer.port), 10)
                self.fail("there is no link")
            except asyncio.TimeoutError:
                self.assertTrue(time.ticks_diff(time.ticks_ms(), began) >= 10000)
            self.assertRaises(OSError, socket.getaddrinfo, "broker.example", 1883)

        asyncio.run(main())

    def test_a_refused_connection_is_an_error(self):
        self.peer.listener.close()
        polling.unwatch(self.peer.listener)

        async def main():
            reader, _ = await asyncio.open_connection("127.0.0.1", self.peer.port)
            await reader.readline()

        self.assertRaises(OSError, asyncio.run, main())

    def test_blocking_calls(self):
        one = socket.socket()
        one.settimeout(2)
        one.connect(socket.getaddrinfo("127.0.0.1", self.peer.port)[0][-1])
        polling.wait_own(100)
        one.send(b"blocking")
        polling.wait_own(100)
        self.assertEqual(one.recv(100), b"heard blocking")
        sockets.linked = False
        self.assertRaises(OSError, one.recv, 100)
        one.setblocking(False)
        self.assertEqual((one.read(1), one.readline(), one.readinto(bytearray(1)), one.write(b"x")), (None,) * 4)
        self.assertRaises(OSError, one.recv, 1)
        self.assertRaises(OSError, one.send, b"x")
        one.close()

    def test_flags_and_sockets_in_one_poll(self):
        one = socket.socket()
        one.connect(socket.getaddrinfo("127.0.0.1", self.peer.port)[0][-1])
        one.setblocking(False)
        flag = asyncio.ThreadSafeFlag()
        poller = select.poll()
        poller.register(one, select.POLLIN)
        poller.register(flag, select.POLLIN)
        self.assertEqual(poller.poll(10), [])
        polling.wait_own(100)
        flag.set()
        self.assertEqual(poller.poll(10), [(flag, select.POLLIN)])
        poller.unregister(flag)
        one.write(b"x")
        self.assertEqual(poller.poll(1000), [(one, select.POLLIN)])
        poller.modify(one, select.POLLOUT)
        self.assertEqual(poller.poll(1000), [(one, select.POLLOUT)])
        self.assertEqual(one.ioctl(3, select.POLLOUT), select.POLLOUT)
        self.assertEqual(one.ioctl(10, 0), -1)
        poller.unregister(one)
        one.ioctl(4, 0)

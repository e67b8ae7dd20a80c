"""The NTP client against a real UDP server in this process, honest and otherwise."""

import asyncio
import random
import socket
from unittest import TestCase

from sync import ntp

EPOCH_S = 3_786_825_600  # 1900 to 2020
NOW_S = 220_000_000
EARLIEST_S = 215_654_400


class Server:
    """Answers each query with what `answers` makes of it: a list of datagrams."""

    def __init__(self, answers):
        self.answers = answers
        self.queries = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        while True:
            self.port = random.randint(20_000, 60_000)  # this interpreter cannot tell which one the kernel chose
            try:
                self.socket.bind(socket.getaddrinfo("127.0.0.1", self.port)[0][-1])
                break
            except OSError:
                pass
        self.socket.setblocking(False)

    async def run(self):
        while True:
            await asyncio.sleep_ms(10)
            try:
                query, client = self.socket.recvfrom(100)
            except OSError:
                continue
            self.queries.append(query)
            for answer in self.answers(query):
                self.socket.sendto(answer, client)


def reply(query, time_s=NOW_S, first=0x24, stratum=2, cookie=None):
    """A server's answer of 48 bytes; `time_s` since 2020."""
    seconds = (time_s + EPOCH_S) % (1 << 32)
    cookie = query[40:48] if cookie is None else cookie
    return bytes((first, stratum)) + bytes(22) + cookie + bytes(8) + seconds.to_bytes(4, "big") + bytes(4)


class Client(TestCase):
    def ask(self, answers):
        async def work():
            server = Server(answers)
            self.server = server
            task = asyncio.create_task(server.run())
            try:
                return await ntp.ask("127.0.0.1:%d" % server.port, EARLIEST_S)
            finally:
                task.cancel()
                server.socket.close()

        return asyncio.run(work())

    def refused(self, answers, words):
        try:
            time_s = self.ask(answers)
        except (OSError, ValueError) as error:
            self.assertTrue(words in str(error), str(error))
        else:
            self.fail("taken: %d" % time_s)

    def test_a_server_that_knows_the_time(self):
        self.assertEqual(self.ask(lambda query: [reply(query)]), NOW_S)
        (query,) = self.server.queries
        self.assertEqual((len(query), query[0], query[1:40]), (48, 0x23, bytes(39)))
        self.assertNotEqual(query[40:48], bytes(8))

    def test_each_query_has_its_own_cookie(self):
        cookies = set()
        for _ in range(5):
            self.ask(lambda query: [reply(query)])
            cookies.add(self.server.queries[0][40:48])
        self.assertEqual(len(cookies), 5)

    def test_a_forged_answer_before_the_right_one_changes_nothing(self):
        forged = (
            lambda query: reply(query, 400_000_000, cookie=b"somebody"),
            lambda query: reply(query, 400_000_000)[:47],
            lambda query: query,  # its own query, sent back
            lambda query: reply(query, 400_000_000, first=0x25),
            lambda query: b"",
        )
        for bad in forged:
            self.assertEqual(self.ask(lambda query, bad=bad: [bad(query), reply(query)]), NOW_S)

    def test_no_answer_is_an_error_after_three_seconds(self):
        self.refused(lambda query: [], "no answer")


class Parsing(TestCase):
    """Without waiting for what does not come."""

    def parse(self, **values):
        cookie = bytes(range(8))
        return ntp.parse(reply(bytes(40) + cookie, **values), cookie, EARLIEST_S)

    def refused(self, **values):
        with self.assertRaises(ValueError):
            self.parse(**values)

    def test_versions_and_leap_warnings(self):
        for first in (0x1C, 0x24, 0x64, 0xA4):
            self.assertEqual(self.parse(first=first), NOW_S)

    def test_strata(self):
        for stratum in (0, 16, 255):  # 0: a kiss of death
            self.refused(stratum=stratum)
        for stratum in (1, 15):
            self.assertEqual(self.parse(stratum=stratum), NOW_S)

    def test_a_server_without_the_time(self):
        self.refused(first=0xE4)

    def test_modes(self):
        for mode in (0, 1, 2, 3, 5, 6, 7):
            self.refused(first=0x20 | mode)

    def test_not_before_the_floor_and_not_after_2054(self):
        self.refused(time_s=EARLIEST_S - 1)
        self.refused(time_s=0)
        self.refused(time_s=-10_000_000)
        self.refused(time_s=0x3FFFFFFF)
        for time_s in (EARLIEST_S, 0x3FFFFFFE):
            self.assertEqual(self.parse(time_s=time_s), time_s)

    def test_the_era_of_2036(self):
        """2^32 s after 1900: 2036-02-07 06:28:16."""
        rollover_s = (1 << 32) - EPOCH_S
        for time_s in (rollover_s - 1, rollover_s, rollover_s + 1, rollover_s + 100_000_000):
            self.assertEqual(self.parse(time_s=time_s), time_s)

    def test_the_address_is_a_number(self):
        self.assertEqual(ntp.address("192.168.1.1"), ("192.168.1.1", 123))
        self.assertEqual(ntp.address("10.0.0.255:1123"), ("10.0.0.255", 1123))
        for bad in ("pool.ntp.org", "", "1.2.3", "1.2.3.256", "1.2.3.4:0", "1.2.3.4:x", "1.2.3.4:70000"):
            with self.assertRaises(ValueError):
                ntp.address(bad)

import asyncio
import os
import sys
from unittest import TestCase

from streams import Dialer
from upstream_rig import KEYS, SETTINGS, Allowlist, Host, Journal, run, until

from storage import certificates
from sync.link import Link
from sync.network import Backoff


class Chip:
    """As much of the module esp32 as is asked for."""

    HEAP_DATA = 4
    heaps = [(100000, 60000, 60000, 0)]

    @staticmethod
    def idf_heap_info(capabilities):
        return list(Chip.heaps)


sys.modules["esp32"] = Chip
FOLDER = os.getenv("MENWEI_TMP") or "."


def link_with_tls(root, **changes):
    settings = dict(SETTINGS)
    settings["tls"] = True
    settings.update(changes)
    link = Link(settings, KEYS, Journal(), Allowlist(), Host(), root, Dialer())
    link._backoff = Backoff(2, 4, lambda bits: 0)
    return link


def folder(name):
    os.mkdir(FOLDER + "/" + name)
    return FOLDER + "/" + name


async def failing(link):
    """Let it fail once; return the error."""
    task = asyncio.create_task(link.run())
    await until(lambda: link.last_error)
    task.cancel()
    return link.last_error


class Needs(TestCase):
    def test_tls_is_never_silently_left_out(self):
        async def work():
            link = link_with_tls(folder("empty"))
            error = await failing(link)
            self.assertTrue("no certificate" in str(error), error)
            self.assertEqual(link._dialer.dialled, 0)
            self.assertTrue(link._host.failure is not None)

        run(work())

    def test_no_handshake_without_memory_for_it(self):
        kept = list(Chip.heaps)

        async def work():
            for heaps, word in (
                ([(100000, 42195, 42195, 0)], "42195"),
                ([(100000, 30000, 16716, 0), (100000, 30000, 16000, 0)], "16716"),
            ):
                Chip.heaps[:] = heaps
                link = link_with_tls("/nowhere")
                error = await failing(link)
                self.assertEqual(error.errno, 12)
                self.assertTrue("memory" in str(error) and word in str(error), error)
                self.assertEqual((link._dialer.dialled, link.tls_failures), (0, 0))
            Chip.heaps[:] = [(100000, 25000, 16717, 0), (100000, 17196, 17196, 0)]
            from sync import credentials

            credentials.check_memory()

        try:
            run(work())
        finally:
            Chip.heaps[:] = kept

    def test_what_cannot_be_used_is_told_and_counts_as_a_failure_of_the_certificate(self):
        async def work():
            root = folder("rubbish")
            certificates.store(root, b"\1", 5, b"ca", b"certificate", b"key")
            link = link_with_tls(root)
            error = await failing(link)
            self.assertTrue(isinstance(error, ValueError), error)
            self.assertEqual((link._dialer.dialled, link.tls_failures), (0, 1))

        run(work())

    def test_each_certificate_has_its_turn_and_then_the_ca_of_each_at_the_renewal_listener(self):
        from sync import credentials

        root = folder("turns")
        certificates.store(root, b"\1", 5, b"ca1", b"certificate", b"key")
        certificates.store(root, b"\2", 6, b"ca2", b"certificate", b"key")
        kept = credentials.context
        try:
            for renew_port, turns in ((0, (b"2", b"1", b"2")), (9, (b"2", b"1", b"r2", b"r1", b"2"))):
                link = link_with_tls(root, renew_port=renew_port)
                used = []
                credentials.context = lambda ca, *own, used=used: used.append((b"" if own else b"r") + ca[2:])
                for failures in range(0, 3 * len(turns), 3):
                    link.tls_failures = failures
                    credentials.prepare(link)
                    self.assertEqual(link.certificate[0], "0" + used[-1][-1:].decode())
                self.assertEqual(tuple(used), turns)
        finally:
            credentials.context = kept

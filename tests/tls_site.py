"""A site with TLS for tests: certificates of all kinds, and a real mosquitto with the files that menwei makes for it.

    site = TlsSite(tmp_path)
    certificate = site.door("front-gate", key=door_key)      # a DoorCertificate; .provision() goes into provision.json
    stale = site.door("back", end=past(days=1))              # ended yesterday; start=future(days=1): begins tomorrow
    foreign = site.foreign().door("front-gate")              # the same name from another CA
    broker = Mosquitto(site)                                 # plain=True: one more listener where everybody may do all
    await broker.start()
    broker.port, broker.upstream_port, broker.renew_port, broker.plain_port
    client = aiomqtt.Client("127.0.0.1", broker.upstream_port, tls_context=site.upstream_context())
    await broker.kill(); await broker.start()                # on the same ports; its database is kept
    broker.pause(); broker.resume()
    await broker.stop()

Put `pytestmark = needs_mosquitto` into the test file. In CI mosquitto must be there.
"""

import asyncio
import os
import shutil
import signal
import socket
import ssl
import subprocess
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from menwei.brokerfiles import Layout, renew_passwords, write_mosquitto
from menwei.keyfile import KeyFile
from menwei.pki import START, Pki, write_new

MOSQUITTO = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
if not MOSQUITTO and os.environ.get("CI") == "true":
    raise RuntimeError("mosquitto is missing, and here it must not be: apt-get install mosquitto")
needs_mosquitto = pytest.mark.skipif(not MOSQUITTO, reason="mosquitto is not installed")
SITE = "garden"
_START_S = 10


def past(**ago):
    """A moment of this computer's past; `ago` as timedelta takes it."""
    return datetime.now(UTC) - timedelta(**ago)


def future(**ahead):
    return datetime.now(UTC) + timedelta(**ahead)


def free_ports(count):
    """Ports that were free a moment ago, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


class TlsSite:
    """A CA with the certificates of server, upstream and doors in `folder`/pki, and the site's key file."""

    def __init__(self, folder, name=SITE, server_names=("127.0.0.1", "localhost")):
        self.folder, self.name = Path(folder), name
        self.pki = Pki.create(self.folder / "pki")
        self.pki.server(server_names)
        self.pki.upstream()
        self.keys = KeyFile(name)

    def door(self, name, *, key=None, start=START, end=None, days=730):
        """A door's certificate; with its door key it can renew it at the next start of a broker."""
        if key is not None:
            self.keys.add(name, key, {})
        return self.pki.door(self.name, name, days, start=start, end=end)

    def foreign(self):
        """Another site's CA that uses the same names; made once."""
        folder = self.folder / "foreign"
        if not hasattr(self, "_foreign"):
            self._foreign = TlsSite(folder, self.name)
        return self._foreign

    def renew_password(self, name):
        """(user name, password) of a door at the renewal listener."""
        user = f"{self.name}/{name}"
        return user, dict(renew_passwords(self.keys))[user]

    def context(self, certificate=None):
        """For a client on CPython: with a door's certificate, or with none."""
        context = ssl.create_default_context(cafile=self.pki.ca_path)
        if certificate:
            path = self.folder / f"{certificate.serial}.pem"
            if not path.exists():
                write_new(path, _pem("CERTIFICATE", certificate.certificate) + _pem("EC PRIVATE KEY", certificate.key))
            context.load_cert_chain(path)
        return context

    def upstream_context(self):
        context = ssl.create_default_context(cafile=self.pki.ca_path)
        context.load_cert_chain(self.pki.folder / "upstream.pem", self.pki.folder / "upstream.key")
        return context


def _pem(label, der):
    return ssl.DER_cert_to_PEM_cert(der).replace("CERTIFICATE", label).encode()


class Mosquitto:
    """Debian's mosquitto with menwei's own configuration, on ports that were free; `log` is its log file."""

    def __init__(self, site, *, folder=None, renew=True, plain=False, ports=None):
        self.site = site
        self.folder = Path(folder or site.folder / "broker")
        self.port, self.upstream_port, renew_port, plain_port = ports or free_ports(4)
        self.renew_port = renew_port if renew else 0
        self.plain_port = plain_port if plain else 0
        self.log = self.folder / "mosquitto.log"
        self.process = None

    def write(self, site=None):
        """Write the files anew; `site`: as another one would, so that the server shows a foreign certificate."""
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        user = "root" if os.geteuid() == 0 else "mosquitto"
        ports = {"port": self.port, "upstream_port": self.upstream_port, "renew_port": self.renew_port}
        layout = Layout(data=str(data), user=user, bind="127.0.0.1", **ports)
        site = site or self.site
        write_mosquitto(self.folder, site.pki, [site.keys], layout)
        conf = self.folder / "mosquitto.conf"
        text = conf.read_text()
        if self.plain_port and f"listener {self.plain_port} " not in text:
            conf.write_text(f"{text}\nlistener {self.plain_port} 127.0.0.1\nallow_anonymous true\n")

    async def start(self, site=None):
        """Start it, again on the same ports if it ran before."""
        self.write(site)
        with open(self.log, "ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                MOSQUITTO, "-v", "-c", self.folder / "mosquitto.conf", stdout=log, stderr=subprocess.STDOUT
            )
        for port in filter(None, (self.port, self.upstream_port, self.renew_port, self.plain_port)):
            await self._answers(port)

    async def _answers(self, port):
        for _ in range(_START_S * 50):
            assert self.process.returncode is None, f"mosquitto ended: {self.log.read_text()}"
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"mosquitto does not listen at {port}: {self.log.read_text()}")

    def reload(self):
        """What `systemctl reload mosquitto` does, with what is in the folder then."""
        self.process.send_signal(signal.SIGHUP)

    def pause(self):
        """It stands still: connections stay, nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    async def kill(self):
        """As `kill -9` does; nothing happens if it does not run."""
        await self._end(signal.SIGKILL)

    async def stop(self):
        """In order: its database is written."""
        await self._end(signal.SIGTERM)

    async def _end(self, number):
        process, self.process = self.process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            await process.wait()

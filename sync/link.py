"""The door's link with upstream: state, journal upload, list deltas, commands (docs/protocol.md).

    link = Link(settings, keys, journal, allowlist, host)
    asyncio.create_task(link.run())
    link.notify()               # a record was appended
    link.state_changed()        # `state` is to be published again

Offline is normal: attempts go on quietly for ever, `connected` and `last_error` tell how it stands. What comes from
the network is authenticated here and carried out by `host`, the firmware, which has: state() -> dict,
command(Command) -> result, command_refused(operation, result, operator), list_changed(from, to), may_connect(),
monotonic_s().
"""

import asyncio
import os
import random

from micropython import const

from sync import messages
from sync.backoff import Backoff
from sync.dialer import Dialer
from sync.mqtt import Mqtt
from sync.wifi import Wifi

# Subscriptions, in this order.
_ACK = const(0)
_LIST = const(1)
_COMMAND = const(2)

_BATCH_ROOM = const(1048)  # 24 + 32 * 32
_MQTT_ROOM = const(7)
_FLIGHTS = const(2)
_PATIENCE_S = const(20)
_MOST_PATIENCE_S = const(320)
_MOST_RESULTS = const(4)
_PAUSE_MS = const(500)
_FIRST_RETRY_MS = const(4000)
_MOST_RETRY_MS = const(60000)
_STABLE_S = const(60)
# Eight refused commands in a row are recorded and answered, then one in 10 s: each record costs flash.
_REFUSAL_S = const(10)
_REFUSAL_BURST_S = const(70)


def _backoff():
    return Backoff(_FIRST_RETRY_MS, _MOST_RETRY_MS, random.getrandbits)


class Link:
    """One door's link."""

    def __init__(self, settings, keys, journal, allowlist, host, wifi=None, dialer=None, ssl=None, tick_ms=1000):
        """Allocate all buffers; nothing happens yet.

        Args:
            settings: dict with host, port, tls, site, door, keepalive_s, wifi_ssid.
            keys: has purpose(bytes) -> 32 bytes, and wifi_secret.
            journal: storage.journal.Journal.
            allowlist: storage.allowlist.Allowlist.
            host: see above.
            wifi: Wifi; if None it is made for settings["wifi_ssid"], and without that the network is just there.
            dialer: replaced in tests.
            ssl: SSLContext, needed if settings["tls"].
            tick_ms: see Mqtt.
        """
        self._journal = journal
        self._allowlist = allowlist
        self._host = host
        # Keys are derived when they are needed: messages are rare, and RAM is rarer.
        self._purpose = keys.purpose
        self._bare = settings["tls"] and not ssl
        site = settings["site"]
        door = settings["door"]
        self._prefix = prefix = messages.topic(site, door, "").encode()
        self._client = Mqtt(
            dialer or Dialer(settings["host"], settings["port"], ssl),
            (site + "." + door).encode(),
            (prefix + b"event/ack", prefix + b"list", prefix + b"cmd"),
            self._on_message,
            prefix + b"state",
            messages.WILL,
            settings["keepalive_s"],
            tick_ms=tick_ms,
        )
        self._client.on_change = self.notify
        self._wake = asyncio.Event()
        self._backoff = _backoff()
        if wifi is None and settings["wifi_ssid"]:
            import network

            wifi = Wifi(
                network.WLAN(network.WLAN.IF_STA),
                settings["wifi_ssid"],
                keys.wifi_secret,
                _backoff(),
                host.may_connect,
            )
        self._wifi = wifi
        self._results = []
        self._flights = []
        self._state_due = True
        self._patience_s = _PATIENCE_S
        self._nonce = b""
        self._session_s = self._number = self._sent = self._sent_s = self._refusals_s = 0
        self.last_error = None
        self.forged = 0  # messages with a wrong MAC
        self.refused = 0  # all messages that were not acted on
        self.failed = 0  # what could not be done, the flash being full or faulty

    @property
    def connected(self):
        """True while connected and subscribed."""
        return self._client.ready

    def notify(self):
        """Look for something to send."""
        self._wake.set()

    def state_changed(self):
        """Publish `state` again."""
        self._state_due = True
        self._wake.set()

    async def run(self):
        """Keep the link up, for ever.

        Raises:
            ValueError: TLS is wanted and there are no certificates; the door goes on without a link, not without TLS.
        """
        if self._bare:
            raise ValueError("tls: the link was given no certificates")
        if self._wifi:
            asyncio.create_task(self._wifi.run())
        asyncio.create_task(self._send())
        while True:
            await asyncio.sleep_ms(self._backoff.next_ms())
            while not (self._wifi is None or self._wifi.up()) or not self._host.may_connect():
                await asyncio.sleep_ms(_PAUSE_MS)
            await self._session()

    async def _session(self):
        self._begin()
        try:
            await self._client.run()
        except (OSError, ValueError, MemoryError) as error:  # TLS raises ValueError
            self.last_error = error
        if self._up_s() > _STABLE_S:
            self._backoff.reset()

    def _begin(self):
        # Before anything can arrive: a command made for an older session must never fit.
        self._nonce = os.urandom(16)
        self._session_s = self._host.monotonic_s()
        self._number = 0
        self._sent = self._journal.acked
        self._flights.clear()
        self._state_due = True

    def _up_s(self):
        return self._host.monotonic_s() - self._session_s

    # Up

    async def _send(self):
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                if self._client.ready and self._send_results() and self._send_state():
                    self._upload()
            except (OSError, ValueError) as error:
                self.failed += 1
                self.last_error = error

    def _send_results(self):
        while self._results:
            if not self._publish(b"cmd/result", self._results[0], False, True):
                return False
            del self._results[0]
        return True

    def _send_state(self):
        if self._state_due:
            journal = self._journal
            allowlist = self._allowlist
            members = self._host.state()
            members["v"] = members["online"] = 1
            members["nonce"] = self._nonce.hex()
            members["up"] = self._up_s()
            members["epoch"] = bytes(journal.epoch).hex()
            members["head"] = journal.head
            members["chain"] = bytes(journal.chain).hex()
            members["acked"] = journal.acked
            members["boot"] = journal.boot
            members["list"] = [allowlist.office_epoch.to_bytes(4, "little").hex(), allowlist.revision]
            wire = messages.build_state(self._purpose(b"state"), members)
            # An older state, and its nonce, are worth nothing after a reconnect: not kept.
            self._state_due = not self._publish(b"state", wire, True, False)
        return not self._state_due

    def _publish(self, leaf, data, retain, keep):
        topic = self._prefix + leaf
        length = len(data)
        slot = self._client.take(_MQTT_ROOM + len(topic) + length)
        if not slot:
            return False
        slot.payload(topic)[:length] = data
        self._client.send(slot, length, retain, keep)
        return True

    def _upload(self):
        """Send batches straight from flash. The flash is the queue: nothing is kept for a resend."""
        journal = self._journal
        client = self._client
        topic = self._prefix + b"event"
        now_s = self._host.monotonic_s()
        if self._flights and now_s - self._sent_s > self._patience_s:
            self._flights.clear()
            self._sent = journal.acked
            self._patience_s = min(2 * self._patience_s, _MOST_PATIENCE_S)
        while self._sent < journal.head and len(self._flights) < _FLIGHTS:
            slot = client.take(_MQTT_ROOM + len(topic) + _BATCH_ROOM)
            if not slot:
                return
            count = 0
            try:
                count = journal.batch(slot.payload(topic), self._sent + 1)
            finally:
                if not count:
                    client.drop(slot)
            if not count:
                return
            client.send(slot, 24 + 32 * count, keep=False)
            if not self._flights:
                self._sent_s = now_s
            self._sent = journal.last_in_batch
            self._flights.append(self._sent)

    # Down

    async def _on_message(self, number, payload, retained):
        try:
            if number == _COMMAND:
                self._command(payload, retained)
            elif retained:
                raise messages.Refused("retained", messages.RETAINED)
            elif number == _ACK:
                self._acknowledged(payload)
            else:
                await self._change_list(payload)
        except messages.Refused as error:
            self._refuse(error.result)
        except (OSError, ValueError) as error:
            self.failed += 1
            self.last_error = error

    def _refuse(self, result):
        self.refused += 1
        self.forged += result == messages.WRONG_MAC

    def _acknowledged(self, payload):
        epoch, sequence, chain = messages.parse_ack(self._purpose(b"event-ack"), payload)
        journal = self._journal
        if not journal.ack(epoch, sequence, chain):
            raise messages.Refused("not of this journal")
        while self._flights and self._flights[0] <= journal.acked:
            del self._flights[0]
        self._sent = max(self._sent, journal.acked)
        self._sent_s = self._host.monotonic_s()
        self._patience_s = _PATIENCE_S
        self._wake.set()

    async def _change_list(self, payload):
        delta = messages.parse_delta(self._purpose(b"list"), payload)
        allowlist = self._allowlist
        revision = allowlist.revision
        if revision and delta.epoch != allowlist.office_epoch:
            raise messages.Refused("another office's list")
        try:
            if delta.from_revision == revision:
                for index in range(delta.count):
                    operation, pseudonym, *fields = delta.change(index)
                    if operation == messages.FORGET:
                        allowlist.forget(pseudonym)
                    else:
                        change = (allowlist.put, allowlist.suspend, allowlist.revoke)[operation - messages.PUT]
                        change(pseudonym, *fields)
                    await asyncio.sleep_ms(0)  # a card may be waiting
                allowlist.set_revision(delta.epoch, delta.to_revision)
                self._host.list_changed(revision, delta.to_revision)
        finally:
            self.state_changed()

    def _command(self, payload, retained):
        operation = number = operator = 0
        nonce = self._nonce
        try:
            command = messages.parse_command(self._purpose(b"cmd"), self._purpose(b"approve"), payload)
            operation = command.operation
            number = command.number
            operator = command.operator
            nonce = command.nonce
            result = messages.RETAINED if retained else self._judge(command)
        except messages.Refused as error:
            result = error.result
        if result == messages.DONE:
            result = self._host.command(command)
        if result != messages.DONE:
            self._refuse(result)
            now_s = self._host.monotonic_s()
            if self._refusals_s - now_s > _REFUSAL_BURST_S:
                return
            self._refusals_s = max(self._refusals_s, now_s) + _REFUSAL_S
            self._host.command_refused(operation, result, operator)
        if len(self._results) < _MOST_RESULTS:
            self._results.append(messages.build_result(self._purpose(b"result"), operation, result, number, nonce))
        self._wake.set()

    def _judge(self, command):
        if command.nonce != self._nonce:
            return messages.WRONG_SESSION
        if command.number <= self._number:
            return messages.REPLAYED
        self._number = command.number
        if self._up_s() > command.deadline_s:
            return messages.TOO_LATE
        if command.operation == messages.OP_UNLOCK and not command.approved:
            return messages.NOT_APPROVED
        return messages.DONE

"""The door's link with upstream: state, journal upload, list deltas, commands (docs/protocol.md).

    link = Link(settings, keys, journal, allowlist, host)
    asyncio.create_task(link.run())
    link.notify()               # a record was appended
    link.state_changed()        # `state` is to be published again

Offline is normal: attempts go on quietly for ever, `connected` and `last_error` tell how it stands. What comes from
the network is authenticated here, or in sync/downlink.py, which is loaded when it is needed, and carried out by
`host`, the firmware, which has: state() -> dict, command(Command) -> result, command_refused(operation, result,
operator), forged(), list_changed(from, to), list_full(pseudonym), may_connect(), link_failed(error), monotonic_s(),
parcel_whole(number) -> result.
"""

import asyncio
import os

from micropython import const

from storage import ondemand
from storage.mac import derive
from sync import messages
from sync.mqtt import Mqtt
from sync.network import Backoff, Dialer, Wifi

# Subscriptions, in this order, behind the one for acknowledgements.
_LIST = const(1)
_COMMAND = const(2)
_PARCEL = const(3)

_BATCH_ROOM = const(1048)  # 24 + 32 * 32
_BATCH = const(32)
_ONE = const(56)  # a batch of one record
_MOST_ALARMS = const(4)
_FLIGHTS = const(2)
_PATIENCE_S = const(20)
_MOST_PATIENCE_S = const(320)
_PAUSE_MS = const(500)
_STABLE_S = const(60)
_KEPT_S = const(10)  # a delta or a command is often followed by more
_ON_DEMAND = (
    "sync.downlink",
    "sync.orders",
    "sync.pages",
    "sync.parcels",
    "sync.credentials",
    "sync.renewal",
    "storage.certificates",
)


class Link:
    """One door's link.

    `connected` is true while it is connected and subscribed. `forged` counts messages with a wrong MAC, `refused` all
    messages that were not acted on, `failed` what could not be done, the flash being full or faulty.
    """

    def __init__(self, settings, keys, journal, allowlist, host, root="", dialer=None, tick_ms=1000):
        """Allocate all buffers; nothing happens yet.

        Args:
            settings: dict with host, port, tls, renew_port, site, door, keepalive_s, wifi_ssid; without that the
                network is just there.
            keys: has door_key and wifi_secret.
            journal: storage.journal.Journal.
            allowlist: storage.allowlist.Allowlist.
            host: see above.
            root: folder with the certificates, needed if settings["tls"].
            dialer: replaced in tests.
            tick_ms: see Mqtt.
        """
        self._journal = journal
        self._allowlist = allowlist
        self._host = host
        self._door_key = keys.door_key
        self.root = root
        self._tls = settings["tls"]
        self.renew_port = settings["renew_port"]
        site = settings["site"]
        door = settings["door"]
        self._dialer = dialer or Dialer(settings["host"], settings["port"])
        self._client = Mqtt(
            self._dialer,
            (site + "." + door).encode(),
            messages.topic(site, door, "").encode(),
            (b"event/ack", b"list", b"cmd", b"parcel"),
            self._on_message,
            self._send,
            messages.WILL,
            settings["keepalive_s"],
            tick_ms,
        )
        self.notify = self._client.wake.set  # look for something to send
        self._backoff = Backoff()
        self._wifi = None
        if settings["wifi_ssid"]:
            import network

            self._wifi = Wifi(
                network.WLAN(network.WLAN.IF_STA),
                settings["wifi_ssid"],
                keys.wifi_secret,
                Backoff(),
                host.may_connect,
            )
        self._results = []
        self._flights = []  # last records of the batches under way
        self._alarms = []  # numbers of the newest alarm records that are not
        self._patience_s = _PATIENCE_S
        self.connected = False
        self.last_error = None
        self.certificate = None  # [serial number in hex, end of validity] of the one that is shown
        self.tls_failures = 0  # in the TLS stage; what sync/credentials.py goes by
        self.parcel = [0, 0, 0]  # see sync/parcels.py
        self.forged = self.refused = self.failed = self._sent_s = self._refusals_s = 0
        self._ordered_s = self._orders_s = 0

    def state_changed(self):
        """Publish `state` again."""
        self._state_due = True
        self.notify()

    def _purpose(self, name):
        """Return the key for one purpose. Not kept: messages are rare, and RAM is rarer."""
        return derive(self._door_key, name)

    def alarm(self):
        """The newest record of the journal is an alarm: it overtakes what waits, if that is much."""
        alarms = self._alarms
        alarms.append(self._journal.head)
        if len(alarms) > _MOST_ALARMS:
            del alarms[0]

    async def run(self):
        """Keep the link up, for ever. Without its certificates it goes on without a link, not without TLS."""
        wifi = self._wifi
        host = self._host
        if wifi:
            asyncio.create_task(wifi.run())
        while True:
            await asyncio.sleep_ms(self._backoff.next_ms())
            while (wifi and not wifi.up()) or not host.may_connect():
                await asyncio.sleep_ms(_PAUSE_MS)
            ondemand.drop(_ON_DEMAND)
            # Before anything can arrive: a command made for an older session must never fit.
            self._nonce = os.urandom(16)
            self._session_s = host.monotonic_s()
            self._number = 0
            self._sent = self._journal.acked
            self._flights.clear()
            self._state_due = True
            client = self._client
            client.greeted = self._dialer.spoken = False
            try:
                serve = client.run
                if self._tls:
                    from sync import credentials

                    serve = credentials.prepare(self)
                    ondemand.drop(_ON_DEMAND)
                await serve()
            except Exception as error:  # a fault of ours, too: the pauses stay, and Wi-Fi has one task
                self.last_error = error
                host.link_failed(error)
            if self._dialer.spoken and not client.greeted:
                self.tls_failures += 1
            self.connected = False
            if host.monotonic_s() - self._session_s > _STABLE_S:
                self._backoff.reset()

    # Up

    def _send(self):
        """Results first, then `state`, then records."""
        results = self._results
        host = self._host
        journal = self._journal
        allowlist = self._allowlist
        self.connected = self._client.ready
        if not self.connected:
            return
        now_s = host.monotonic_s()
        if 0 < self._ordered_s < now_s:
            self._ordered_s = 0
            ondemand.drop(_ON_DEMAND)
        try:
            while results:
                if not self._publish(b"cmd/result", results[0], False):
                    return
                del results[0]
            if self._state_due:
                members = host.state()
                members.update(
                    {
                        "v": 1,
                        "online": 1,
                        "nonce": self._nonce.hex(),
                        "up": now_s - self._session_s,
                        "epoch": journal.epoch.hex(),
                        "head": journal.head,
                        "chain": journal.chain.hex(),
                        "acked": journal.acked,
                        "oldest": journal.oldest(),
                        "boot": journal.boot,
                        "cert": self.certificate,
                        "list": [allowlist.office_epoch.to_bytes(4, "little").hex(), allowlist.revision],
                        "parcel": self.parcel,
                    }
                )
                under_way = allowlist.reconciling
                if under_way:
                    members["page"] = [under_way[0].to_bytes(4, "little").hex(), under_way[1], under_way[2]]
                wire = messages.build_state(self._purpose(b"state"), members)
                self._state_due = not self._publish(b"state", wire, True)
            if self._state_due:
                return
            alarms = self._alarms
            while alarms:
                ahead = alarms[0] - self._sent
                if ahead > 0:
                    # The next batch has it, or there is no room yet.
                    room = ahead > _BATCH and self._client.room(b"event/now", _ONE)
                    if not room or not journal.batch(room[:_ONE], alarms[0]):
                        break
                    self._client.send(_ONE)
                del alarms[0]
            # Batches go straight from flash. The flash is the queue: nothing is kept for a resend.
            flights = self._flights
            if flights and now_s - self._sent_s > self._patience_s:
                self._sent = journal.acked
                flights.clear()
                self._patience_s = min(2 * self._patience_s, _MOST_PATIENCE_S)
            while self._sent < journal.head and len(flights) < _FLIGHTS:
                room = self._client.room(b"event", _BATCH_ROOM)
                count = room and journal.batch(room, self._sent + 1)
                if not count:
                    break
                self._client.send(24 + 32 * count, False, False)
                if not flights:
                    self._sent_s = now_s
                self._sent = journal.last_in_batch
                flights.append(self._sent)
        except (OSError, ValueError) as error:
            self.failed += 1
            self.last_error = error

    def _publish(self, leaf, data, retain):
        length = len(data)
        room = self._client.room(leaf, length)
        if room:
            room[:length] = data
            # What is retained, the state with its nonce, is worth nothing after a reconnect: not kept.
            self._client.send(length, retain, not retain)
        return room

    # Down

    async def _on_message(self, number, payload, retained):
        journal = self._journal
        result = messages.DONE
        try:
            if number == _COMMAND:
                result = self._orders().command(self, payload, retained)
            elif retained:
                result = messages.RETAINED
            elif number == _LIST:
                result = await self._orders().change_list(self, payload)
            elif number == _PARCEL:
                from sync import parcels

                result = parcels.page(self, payload)
                ondemand.drop(_ON_DEMAND)
            elif journal.ack(*messages.parse_ack(self._purpose(b"event-ack"), payload)):
                flights = self._flights
                while flights and flights[0] <= journal.acked:
                    del flights[0]
                self._sent = max(self._sent, journal.acked)
                self._sent_s = self._host.monotonic_s()
                self._patience_s = _PATIENCE_S
                self.notify()
            else:
                result = messages.MALFORMED  # not of this journal
        except messages.Refused as error:
            result = error.result
        except (OSError, ValueError) as error:
            self.failed += 1
            self.last_error = error
        if result:
            self.refused += 1
            if result == messages.WRONG_MAC:
                self.forged += 1
                self._host.forged()

    def _orders(self):
        """Return the module for lists and commands; it stays for a while."""
        from sync import downlink

        self._ordered_s = self._host.monotonic_s() + _KEPT_S
        return downlink

"""A door whose certificate is not accepted any more asks for a new one: one connection to the renewal listener.

    await Renewal(link).run()

The server is verified as always; the door shows no certificate but gives its name and, as password, the key for this
purpose. There it has two topics (docs/protocol.md, "renew"). Loaded when its turn comes (sync/credentials.py).
"""

import asyncio
import errno
from binascii import hexlify

from micropython import const

from storage import ondemand
from sync import messages
from sync.mqtt import WITH_PASSWORD

_TICKS = const(600)  # a parcel of a few pages takes seconds; another turn comes


class Renewal:
    """One connection with the client, the buffers and the dialer of the link, which get back what they had."""

    def __init__(self, link):
        self._link = link
        self._asked = False

    async def run(self):
        """Serve until something breaks or ten minutes are over; always ends with an exception."""
        link = self._link
        client = link._client
        dialer = link._dialer
        kept = client.flags, client.texts, client.topics, client.on_message, client.on_change, dialer.port
        identity = client.texts[0]
        client.flags = WITH_PASSWORD
        client.texts = identity, identity.replace(b".", b"/"), hexlify(link._purpose(b"renew"))
        client.topics = (b"renew",)
        client.on_message = self._on_message
        client.on_change = self._on_change
        dialer.port = link.renew_port
        dialer._address = None
        try:
            await asyncio.wait_for_ms(client.run(), _TICKS * client._tick_ms)
        except asyncio.TimeoutError:
            raise OSError(errno.ETIMEDOUT, "nothing more came to the renewal")
        finally:
            client.flags, client.texts, client.topics, client.on_message, client.on_change, dialer.port = kept
            dialer._address = None
            if client.greeted:
                link.tls_failures = 0  # perhaps with a new certificate now

    def _on_change(self):
        link = self._link
        if not link._client.ready:
            return
        if self._asked and not link._state_due:
            return
        serial, until_s = link.certificate
        members = {"v": 1, "nonce": link._nonce.hex(), "serial": serial, "until": until_s, "parcel": link.parcel}
        wire = messages.build_state(link._purpose(b"state"), members)
        if link._publish(b"renew/ask", wire, False):
            link._state_due = False
            self._asked = True

    async def _on_message(self, _number, payload, retained):
        link = self._link
        try:
            if retained:
                raise messages.Refused("retained")
            from sync import parcels

            parcels.page(link, payload, True)
        except messages.Refused as error:
            link.refused += 1
            if error.result == messages.WRONG_MAC:
                link.forged += 1
                link._host.forged()
        except (OSError, ValueError) as error:
            link.failed += 1
            link.last_error = error
        finally:
            ondemand.drop(("sync.parcels",))

"""What a TLS handshake needs: memory, and one of the door's certificates. Loaded before a handshake, dropped then.

    serve = credentials.prepare(link)       # raises OSError, ValueError
    await serve()                           # one connection

Nothing of it is kept: certificates lie in flash and are read before each handshake, which is rare.
"""

import errno
import gc

import esp32
import tls
from micropython import const

from storage import certificates

# The memory is the ESP-IDF's, beside MicroPython's heap. A session with a verified server takes about 42,196 bytes
# (ESP-IDF Programming Guide, "Mbed TLS", Reducing Heap Usage, default configuration, of which MicroPython's
# ports/esp32/boards/sdkconfig.base keeps the buffers: 16 KB for what comes, 4 KB for what goes). The largest piece of
# it is the buffer for incoming records, 16,717 bytes (espressif/esp-idf #2673).
_TLS_BYTES = const(42196)
_LARGEST_BYTES = const(16717)

_TRIES = const(3)  # failures in the TLS stage before it is another certificate's turn


def check_memory():
    """Raise OSError(ENOMEM) unless a handshake finds the memory that it needs."""
    # The garbage goes first: areas of MicroPython's heap that are empty then go back to the ESP-IDF.
    gc.collect()
    free = largest = 0
    for area in esp32.idf_heap_info(esp32.HEAP_DATA):
        free += area[1]
        largest = max(largest, area[2])
    if free < _TLS_BYTES or largest < _LARGEST_BYTES:
        text = "TLS waits for memory: %d bytes are free and %d of them together, it needs %d and %d"
        raise OSError(errno.ENOMEM, text % (free, largest, _TLS_BYTES, _LARGEST_BYTES))


def context(ca, certificate=None, key=None):
    """Return an SSLContext that accepts servers of this CA only.

    Raises:
        ValueError: one of them is no certificate or key (DER).
    """
    made = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    made.verify_mode = tls.CERT_REQUIRED
    if certificate:
        made.load_cert_chain(certificate, key)
    made.load_verify_locations(ca)
    return made


def prepare(link):
    """Return the async function that serves the next connection; the dialer has the SSLContext for it.

    The newest certificate comes first. After three failures in the TLS stage it is the other one's turn, and then, if
    there is a port for it, that of the renewal, which shows none, with the CA of each: the newest may be one that was
    never right. Then it begins anew. What works is stayed with.

    Raises:
        OSError: there is no memory for a handshake now.
        ValueError: the door has no certificate, or one that cannot be used.
    """
    check_memory()
    paths = certificates.paths(link.root)
    if not paths:
        raise ValueError("tls: the door has no certificate, provision it with one")
    dialer = link._dialer
    # From here on a failure is the certificate's.
    dialer.spoken = True
    turn = link.tls_failures // _TRIES % (len(paths) << (link.renew_port > 0))
    renews = turn >= len(paths)
    serial, until_s, ca, certificate, key = certificates.read(paths[turn % len(paths)])
    link.certificate = [serial.hex(), until_s]
    if renews:
        from sync import renewal

        dialer.context = context(ca)
        return renewal.Renewal(link).run
    dialer.context = context(ca, certificate, key)
    return link._client.run

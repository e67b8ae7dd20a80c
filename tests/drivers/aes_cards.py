"""Cards with AES keys as the office personalises them."""

from boards.sim.desfire import Desfire
from boards.sim.ev2 import cmac
from boards.sim.ntag424 import Ntag424

UID_7 = b"\x04\x11\x22\x33\x44\x55\x66"
OLD = bytes(range(16))
NEW = bytes(range(16, 32))
AID = b"\x57\x4d\xf5"


def diversified(master, uid, application, number):
    """AN10922, AES-128. 18 bytes are padded to 32 by RFC 4493, too."""
    return cmac(master, b"\x01" + uid + application + b"menwei" + bytes((number,)))


def ntag(master=NEW, number=3, uid=UID_7, **options):
    card = Ntag424(uid, **options)
    card.set_key(number, diversified(master, uid, b"\x01\x00\x00", number))
    return card


def desfire(master=NEW, number=3, uid=UID_7, **options):
    card = Desfire(uid, **options)
    application = card.add_application(AID, 5)
    application.keys[number].value = diversified(master, uid, AID, number)
    return card

"""Session keys of AuthenticateEV2First, for who goes on talking to the card (AN12343 and AN12196 6.6).

encryption, authentication = session_keys(card_key, rnd_a, rnd_b)
"""

from drivers.cmac import Cmac


def session_keys(key, rnd_a, rnd_b):
    """SesAuthENCKey and SesAuthMACKey, 16 bytes each, from the card's key and both random numbers of 16 bytes."""
    vector = bytearray(b"\xa5\x5a\x00\x01\x00\x80") + rnd_a[:2]
    for index in range(6):
        vector.append(rnd_a[2 + index] ^ rnd_b[index])
    vector += rnd_b[6:16]
    vector += rnd_a[8:16]
    cmac = Cmac(key)
    encryption = bytes(cmac.tag(vector, 32))
    vector[0] = 0x5A
    vector[1] = 0xA5
    return encryption, bytes(cmac.tag(vector, 32))

"""Diversification and EV2 messaging on the host against public vectors."""

import pytest

from menwei import ev2host
from menwei.carddiversify import an10922, classic_keys, cmac, counter_block, counter_of, iso_key
from menwei.ev2host import Ev2Error, Session, WrongKey, authenticate, session_keys

h = bytes.fromhex


def scripted(*exchanges):
    """A card that expects these commands, in this order."""
    left = list(exchanges)

    def send(apdu):
        expected, answer = left.pop(0)
        assert apdu.hex() == expected.lower()
        return h(answer)

    return send


@pytest.mark.parametrize(
    ("length", "mac"),
    [
        (0, "bb1d6929e95937287fa37d129b756746"), (16, "070a16b46b4d4144f79bdd9dd04a287c"),
        (40, "dfa66747de9ae63030ca32611497c827"), (64, "51f0bebf7e3b9d92fc49741779363cfe"),
    ],
)  # fmt: skip
def test_cmac_of_rfc_4493(length, mac):
    message = h(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
        "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
    )
    assert cmac(h("2b7e151628aed2a6abf7158809cf4f3c"), message[:length]).hex() == mac


def test_an10922_examples():
    master = h("00112233445566778899aabbccddeeff")
    assert an10922(master, h("04782e21801d803042f54e585020416275")).hex() == "a8dd63a3b89d54b37ca802473fda9175"
    short = an10922(h("f3f9377698707b688eaf84abe39e3791"), h("04deadbeeffeed"))
    assert short.hex() == "0bb408baff98b6ee9f2e1585777f6a51"
    assert short.hex() != "721e2c01e81af85d815633969cea2607"  # what padding to 16 bytes would give


def test_an10922_with_a_full_input_is_a_plain_cmac():
    message = bytes(range(31))
    assert an10922(bytes(16), message) == cmac(bytes(16), b"\x01" + message)
    for length in (0, 32):
        with pytest.raises(ValueError):
            an10922(bytes(16), bytes(length))


def test_house_rules_of_the_inputs():
    uid, master = h("04112233445566"), bytes(range(16))
    assert iso_key("ntag424", master, uid, 2) == an10922(master, uid + h("010000") + b"menwei\x02")
    assert iso_key("desfire", master, uid, 0) == an10922(master, uid + h("574df5") + b"menwei\x00")
    keys = classic_keys(master, bytes(16), uid[:4], 3)
    assert keys.key_a == cmac(master, b"\x01" + uid[:4] + b"\x03menwei A")[:6]
    assert keys.key_b == cmac(bytes(16), b"\x01" + uid[:4] + b"\x03menwei B")[:6]
    assert keys.counter == cmac(master, b"\x01" + uid[:4] + b"\x03menwei C")


def test_a_counter_block_is_bound_to_its_place_and_key():
    key = bytes(range(16))
    block = counter_block(key, 4, 0x123456, 7)
    assert block[:8].hex() == "0156341207000000"
    assert block[8:] == cmac(key, b"\x04" + block[:8])[:8]
    assert counter_of(key, 4, block) == 0x123456
    assert counter_of(key, 5, block) is counter_of(bytes(16), 4, block) is counter_of(key, 4, bytes(16)) is None
    for bit in range(128):
        flipped = bytearray(block)
        flipped[bit >> 3] ^= 1 << (bit & 7)
        assert counter_of(key, 4, bytes(flipped)) is None


FIRST = (
    ("9071000002000000", "a04c124213c186f22399d33ac2a3021591af"),
    (
        "90af00002035c3e05a752e0144bac0de51c1f22c56b34408a23d8aea266cab947ea8e0118d00",
        "3fa64db5446d1f34cd6ea311167f5e4985b89690c04a05f17fa7ab2f081206639100",
    ),
)
RND_A = h("13c5db8a5930439fc3def9a4c675360f")


def test_authentication_of_an12196_6_6():
    session = authenticate(scripted(*FIRST), 0, bytes(16), RND_A)
    assert session.ti == h("9d00c4df")
    assert session._enc_key == h("1309c877509e5a215007ff0ed19ca564")
    assert session._mac_key == h("4c6626f5e72ea694202139295c7a7fc7")
    assert "1309" not in repr(session)


def test_session_keys_of_an12343():
    keys = session_keys(bytes(16), h("b04d0787c93ee0cc8cacc8e86f16c6fe"), h("fa659ad0dca738dd65dc7dc38612ad81"))
    assert keys == (h("63dc07286289a7a6c0334ca31c314a04"), h("774f26743ece6af5033b6ae8522946f6"))


def test_a_card_that_does_not_hold_the_key_is_refused():
    first, (command, answer) = FIRST
    for number in (0, 8, 16, 24):  # the halves that hold RndA
        bad = bytearray(h(answer))
        bad[number] ^= 1
        with pytest.raises(WrongKey, match="forgery"):
            authenticate(scripted(first, (command, bad.hex())), 0, bytes(16), RND_A)
    with pytest.raises(WrongKey, match="not the card's"):
        authenticate(scripted(first, (command, "91ae")), 0, bytes(16), RND_A)
    with pytest.raises(Ev2Error, match="wait"):
        authenticate(scripted((FIRST[0][0], "91ad")), 0, bytes(16), RND_A)
    for answer in ("", "91", "91af", "00" * 15 + "91af"):
        with pytest.raises(Ev2Error):
            authenticate(scripted((FIRST[0][0], answer)), 0, bytes(16), RND_A)


def test_mac_of_an12196_table_8():
    command = (
        "90F5000009026597A457C8CD442C00",
        "0040EEEE000100D1FE001F00004400004400002000006A00002A474282E7A479869100",
    )
    session = Session(scripted(command), 0, h("7A21085E"), bytes(16), h("8248134A386E86EB7FAF54A52E536CB6"))
    assert session.command(0xF5, b"\x02").hex() == "0040eeee000100d1fe001f00004400004400002000006a0000"
    assert session.counter == 1


def test_encrypted_commands_of_an12196():
    session = Session(
        scripted(("905F0000190261B6D97903566E84C3AE5274467E89EAD799B7C1A0EF7A0400", "57BFF87B1241E93D9100")), 0,
        h("9D00C4DF"), h("1309C877509E5A215007FF0ED19CA564"), h("4C6626F5E72EA694202139295C7A7FC7"), 1,
    )  # fmt: skip
    assert session.command_full(0x5F, b"\x02", h("4000E0C1F121200000430000430000")) == b""
    session = Session(
        scripted(("90510000088E2C155ADDA99BE300", "70756055688505B52A5E26E59E329CD6595F672298EA41B79100")), 0,
        h("DF055522"), h("2B4D963C014DC36F24F69A50A394F875"), h("379D32130CE61705DD5FD8C36B95D764"),
    )  # fmt: skip
    assert session.command_full(0x51).hex() == "04958caa5c5e80"


def changing(counter, *exchanges):
    return Session(
        scripted(*exchanges), 0, h("7614281A"), h("4CF3CB41A22583A61E89B158D252FC53"),
        h("5529860B2FC5FB6154B7F28361D30BF9"), counter,
    )  # fmt: skip


OTHER_KEY = "90C4000029022CF362B7BF4311FF3BE1DAA295E8C68DE09050560D19B9E16C2393AE9CD1FAC75D0CE20BCD1D06E600"
OWN_KEY = "90C400002900C0EB4DEEFEDDF0B513A03A95A75491818580503190D4D05053FF75668A01D6FDA6610234BDED643200"


def test_change_key_of_an12196_tables_26_and_27():
    session = changing(2, (OTHER_KEY, "203BB55D1089D5879100"), (OWN_KEY, "9100"))
    session.change_key(2, h("F3847D627727ED3BC9C4CC050489B966"), 1, bytes(16))
    session.change_key(0, h("5004BF991F408672B1EF00F08F9E8647"), 1)
    with pytest.raises(Ev2Error, match="over"):
        session.command(0x64, b"\x00")


def test_a_forged_answer_ends_the_session():
    session = changing(2, (OTHER_KEY, "203BB55D1089D5869100"))
    with pytest.raises(Ev2Error, match="not authentic"):
        session.change_key(2, h("F3847D627727ED3BC9C4CC050489B966"), 1, bytes(16))
    with pytest.raises(Ev2Error, match="over"):
        session.change_key(2, bytes(16), 1, bytes(16))
    session = changing(2, (OTHER_KEY, "9100"))  # no MAC at all
    with pytest.raises(Ev2Error, match="not authentic"):
        session.change_key(2, h("F3847D627727ED3BC9C4CC050489B966"), 1, bytes(16))


def test_the_old_key_is_needed_for_another_one():
    with pytest.raises(ValueError, match="old key"):
        changing(0).change_key(2, bytes(16), 1)


def test_refusals_say_why():
    with pytest.raises(Ev2Error, match=r"no such application.*91A0"):
        ev2host.plain(lambda apdu: h("91a0"), 0x5A, h("574df5"))

"""NTAG 424 DNA against NXP's own examples: AN12196 rev. 2.0, the tables by number."""

import json
import random
import unittest

from boards.sim import ev2
from boards.sim.cards import HALT, Card
from boards.sim.desfire import Desfire
from boards.sim.ntag424 import FULL, NAME, Ntag424
from iso_reader import Ev2Reader, Reader, cmac, diversify, select, send, x

UID = x("04958CAA5C5E80")
ZERO = bytes(16)
SELECT = x("00A4040C07D276000085010100")


class Replay:
    """The random numbers of a recorded card."""

    def __init__(self, *values):
        self.values = [x(value) for value in values]

    def __call__(self, count):
        value = self.values.pop(0)
        assert len(value) == count
        return value


def ready(card):
    """Activate a card and select the application."""
    reader = Reader(card, fsc=128)
    assert reader.apdu(SELECT) == b"\x90\x00"
    return reader


def session(card, number, ti, enc, mac, counter=0):
    """Bring a card into a session out of the middle of an example."""
    reader = ready(card)
    card.session = ev2.Session(number, (x(enc), x(mac)), x(ti), counter)
    return reader


class Vectors(unittest.TestCase):
    def test_cmac_rfc4493(self):
        key = x("2b7e151628aed2a6abf7158809cf4f3c")
        message = x(
            "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
            "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
        )
        for size, mac in (
            (0, "bb1d6929e95937287fa37d129b756746"),
            (16, "070a16b46b4d4144f79bdd9dd04a287c"),
            (40, "dfa66747de9ae63030ca32611497c827"),
            (64, "51f0bebf7e3b9d92fc49741779363cfe"),
        ):
            self.assertEqual(ev2.cmac(key, message[:size]), x(mac))
            self.assertEqual(cmac(key, message[:size]), x(mac))

    def test_diversified_keys_an10922(self):
        # AN10922 2.2.1: UID, AID and "NXP Abu"
        key = diversify(x("00112233445566778899aabbccddeeff"), x("04782e21801d80 3042f5 4e585020416275"))
        self.assertEqual(key, x("a8dd63a3b89d54b37ca802473fda9175"))
        # AN10957: a short message is padded to two blocks
        master = x("f3f9377698707b688eaf84abe39e3791")
        self.assertEqual(diversify(master, x("04deadbeeffeed")), x("0bb408baff98b6ee9f2e1585777f6a51"))
        self.assertEqual(cmac(master, x("0104deadbeeffeed")), x("721e2c01e81af85d815633969cea2607"))

    def test_session_keys_an12343(self):
        keys = ev2.session_keys(ZERO, x("b04d0787c93ee0cc8cacc8e86f16c6fe"), x("fa659ad0dca738dd65dc7dc38612ad81"))
        self.assertEqual(keys, (x("63dc07286289a7a6c0334ca31c314a04"), x("774f26743ece6af5033b6ae8522946f6")))

    def test_authenticate_first_table_14(self):
        card = Ntag424(UID, random=Replay("b9e2fc789b64bf237cccaa20ec7e6e48", "9d00c4df"))
        reader = ready(card)
        self.assertEqual(reader.apdu(x("9071000002000000")), x("a04c124213c186f22399d33ac2a3021591af"))
        self.assertEqual(
            reader.apdu(x("90af00002035c3e05a752e0144bac0de51c1f22c56b34408a23d8aea266cab947ea8e0118d00")),
            x("3fa64db5446d1f34cd6ea311167f5e4985b89690c04a05f17fa7ab2f081206639100"),
        )
        self.assertEqual(card.session.enc, x("1309c877509e5a215007ff0ed19ca564"))
        self.assertEqual(card.session.mac, x("4c6626f5e72ea694202139295c7a7fc7"))

    def test_authenticate_table_19_and_non_first_table_23(self):
        card = Ntag424(
            UID, random=Replay("91517975190DCEA6104948EFA3085C1B", "7614281A", "6924E8D09722659A2E7DEC68E66312B8")
        )
        reader = ready(card)
        self.assertEqual(reader.apdu(x("9071000002030000")), x("B875CEB0E66A6C5CD00898DC371F92D191AF"))
        self.assertEqual(
            reader.apdu(x("90AF000020FF0306E47DFBC50087C4D8A78E88E62DE1E8BE457AA477C707E2F0874916A8B100")),
            x("0CC9A8094A8EEA683ECAAC5C7BF20584206D0608D477110FC6B3D5D3F65C3A6A9100"),
        )
        self.assertEqual(card.session.enc, x("7A93D6571E4B180FCA6AC90C9A7488D4"))
        self.assertEqual(card.session.mac, x("FC4AF159B62E549B5812394CAB1918CC"))
        # Table 21: WriteData to the proprietary file in CommMode.Full
        self.assertEqual(
            reader.apdu(x("908D00001F030000000A00006B5E6804909962FC4E3FF5522CF0F8436C0C53315B9C73AA00")),
            x("C26D236E4A7C046D9100"),
        )
        self.assertEqual(card.files[3].data[:11], x("0102030405060708090A00"))
        self.assertEqual(reader.apdu(x("90770000010000")), x("A6A2B3C572D06C097BB8DB70463E22DC91AF"))
        self.assertEqual(
            reader.apdu(x("90AF000020BE7D45753F2CAB85F34BC60CE58B940763FE969658A532DF6D95EA2773F6E99100")),
            x("B888349C24B315EAB5B589E279C8263E9100"),
        )
        self.assertEqual(card.session.enc, x("4CF3CB41A22583A61E89B158D252FC53"))
        self.assertEqual(card.session.identifier, x("7614281A"))
        self.assertEqual((card.session.counter, card.session.number), (1, 0))

    def test_change_key_tables_25_and_26(self):
        card = Ntag424(UID)
        keys = "4CF3CB41A22583A61E89B158D252FC53", "5529860B2FC5FB6154B7F28361D30BF9"
        reader = session(card, 0, "7614281A", *keys, 2)
        self.assertEqual(
            reader.apdu(
                x("90C4000029022CF362B7BF4311FF3BE1DAA295E8C68DE09050560D19B9E16C2393AE9CD1FAC75D0CE20BCD1D06E600")
            ),
            x("203BB55D1089D5879100"),
        )
        self.assertEqual(card.app_keys[2].value, x("F3847D627727ED3BC9C4CC050489B966"))
        self.assertEqual(card.app_keys[2].version, 1)
        self.assertEqual(
            reader.apdu(
                x("90C400002900C0EB4DEEFEDDF0B513A03A95A75491818580503190D4D05053FF75668A01D6FDA6610234BDED643200")
            ),
            x("9100"),
        )
        self.assertEqual(card.app_keys[0].value, x("5004BF991F408672B1EF00F08F9E8647"))
        self.assertIsNone(card.session)

    def test_write_data_table_17(self):
        card = Ntag424(UID)
        reader = session(card, 0, "9D00C4DF", "1309C877509E5A215007FF0ED19CA564", "4C6626F5E72EA694202139295C7A7FC7")
        card.files[2].mode = FULL
        card.files[2].write = card.files[2].both = 0
        command = x(
            "908D00009F02000000800000421C73A27D827658AF481FDFF20A5025B559D0E3AA21E58D347F343CFFC768BFE596C706BC00F2"
            "176781D4B0242642A0FF5A42C461AAF894D9A1284B8C76BCFA658ACD40555D362E08DB15CF421B51283F9064BCBE20E96CAE54"
            "5B407C9D651A3315B27373772E5DA2367D2064AE054AF996C6F1F669170FA88CE8C4E3A4A7BBBEF0FD971FF532C3A802AF7456"
            "60F2B4D1D9A8499661EBF300"
        )
        self.assertEqual(reader.apdu(command), x("FC222E5F7A5424529100"))
        self.assertEqual(card.files[2].data[:24], x("0051D1014D550463686F6F73652E75726C2E636F6D2F6E74"))

    def test_set_configuration_table_27(self):
        card = Ntag424(UID)
        reader = session(card, 0, "D779B1D0", "7951A705F47F3C29B596454DC1490383", "FE4EDBF46536557E304682F33E63A84F")
        answer = reader.apdu(x("905C000019008EA0138A7AF6FC8E99DF2A3A305602C43A7A3C9228C3134A00"))
        self.assertEqual(answer, x("86044208CAD1676A9100"))
        self.assertTrue(card.random_id)

    def test_get_card_uid_table_28(self):
        card = Ntag424(UID)
        reader = session(card, 0, "DF055522", "2B4D963C014DC36F24F69A50A394F875", "379D32130CE61705DD5FD8C36B95D764")
        answer = reader.apdu(x("90510000088E2C155ADDA99BE300"))
        self.assertEqual(answer, x("70756055688505B52A5E26E59E329CD6595F672298EA41B79100"))

    def test_mac_of_a_command_and_its_answer_table_7(self):
        made = ev2.Session(0, (ZERO, x("8248134A386E86EB7FAF54A52E536CB6")), x("7A21085E"))
        self.assertEqual(made.tag(0xF5, b"\x02"), x("6597A457C8CD442C"))
        made.counter = 1
        settings = x("0040EEEE000100D1FE001F00004400004400002000006A0000")
        self.assertEqual(made.tag(0, settings), x("2A474282E7A47986"))


class Commands(unittest.TestCase):
    def test_activation(self):
        card = Ntag424(UID)
        card.power(True)
        self.assertEqual(select(card), 0x20)
        self.assertEqual(card.atqa, b"\x44\x03")
        self.assertEqual(send(card, b"\xe0\x50"), x("067777710280"))

    def test_the_application_must_be_selected(self):
        reader = Reader(Ntag424(UID))
        self.assertEqual(reader.native(0x71, b"\x00\x00"), x("9140"))
        self.assertEqual(reader.native(0x64, b"\x00"), x("9140"))
        self.assertEqual(reader.native(0xAD, bytes((2, 0, 0, 0, 4, 0, 0))), x("919D"))
        self.assertEqual(reader.apdu(x("00A4040007D276000085010000")), x("6A82"))
        self.assertEqual(reader.apdu(b"\x00\xa4\x04\x00\x07" + NAME), x("9000"))
        self.assertEqual(reader.native(0x64, b"\x00"), x("009100"))

    def test_authentication_proves_both_sides(self):
        card = Ntag424(UID)
        key = bytes(range(16))
        card.set_key(4, key, 9)
        ev2_reader = Ev2Reader(ready(card))
        self.assertEqual(ev2_reader.authenticate(4, key), 0)
        self.assertEqual(ev2_reader.command(0x64, b"\x04"), (0, b"\x09"))
        self.assertEqual(ev2_reader.command(0x51, full=True), (0, UID))
        self.assertEqual(ev2_reader.authenticate(4, ZERO), 0xAE)
        self.assertIsNone(card.session)
        self.assertEqual(ev2_reader.authenticate(5, ZERO), 0x40)
        self.assertEqual(ev2_reader.authenticate(0, ZERO, first=False), 0x9D)

    def test_nothing_answers_the_same_twice(self):
        card = Ntag424(UID)
        reader = ready(card)
        challenges = set()
        for _ in range(20):
            answer = reader.native(0x71, b"\x00\x00")
            challenges.add(answer)
            self.assertEqual(reader.native(0xAF, bytes(32)), x("91AE"))
        self.assertEqual(len(challenges), 20)
        self.assertEqual(card.failed[0], 20)

    def test_order_and_length_of_commands(self):
        reader = ready(Ntag424(UID))
        self.assertEqual(reader.native(0xAF), x("911C"))
        self.assertEqual(reader.native(0x71, b"\x00"), x("917E"))
        self.assertEqual(reader.native(0x71, b"\x00\x01"), x("917E"))
        self.assertEqual(reader.native(0x71, b"\x00\x07" + bytes(7)), x("917E"))
        self.assertEqual(reader.native(0x71, b"\x00\x03\x00\x00\x00")[-2:], x("91AF"))
        self.assertEqual(reader.native(0x64, b"\x00"), x("91CA"))
        self.assertEqual(reader.native(0xAF, bytes(32)), x("911C"))
        self.assertEqual(reader.native(0x71, b"\x00\x00")[-2:], x("91AF"))
        self.assertEqual(reader.native(0xAF, bytes(31)), x("917E"))
        self.assertEqual(reader.native(0x99), x("911C"))
        self.assertEqual(reader.native(0x51), x("91AE"))
        self.assertEqual(reader.native(0xC4, b"\x01" + bytes(40)), x("91AE"))
        self.assertEqual(reader.native(0xC4, b"\x05" + bytes(40)), x("9140"))
        self.assertEqual(reader.apdu(b"\x90\x64\x00"), x("6700"))
        self.assertEqual(reader.apdu(x("90640100010000")), x("6A86"))
        self.assertEqual(reader.apdu(x("8064000001 00 00")), x("6E00"))
        self.assertEqual(reader.apdu(x("00840000 08")), x("6D00"))

    def test_version(self):
        reader = ready(Ntag424(UID))
        self.assertEqual(reader.native(0x60), x("0404023000110591AF"))
        self.assertEqual(reader.native(0xAF), x("0404020102110591AF"))
        self.assertEqual(reader.native(0xAF), UID + x("CF0CD1653047199100"))
        self.assertEqual(reader.native(0x60)[-2:], x("91AF"))
        self.assertEqual(reader.native(0x64, b"\x00"), x("91CA"))

    def test_version_in_a_session_has_one_mac_over_all(self):
        card = Ntag424(UID)
        talk = Ev2Reader(ready(card))
        self.assertEqual(talk.authenticate(0, ZERO), 0)
        self.assertEqual(talk.reader.native(0x60), x("917E"))
        self.assertEqual(talk.authenticate(0, ZERO), 0)
        first = talk.reader.native(0x60, talk._tag(0x60, b""))
        self.assertEqual(first[-2:], x("91AF"))
        second = talk.reader.native(0xAF)
        third = talk.reader.native(0xAF)
        talk.counter += 1
        self.assertEqual(third[-10:-2], talk._tag(0, first[:-2] + second[:-2] + third[:-10]))

    def test_changed_keys(self):
        card = Ntag424(UID)
        new = bytes(range(1, 17))
        talk = Ev2Reader(ready(card))
        talk.authenticate(0, ZERO)
        self.assertEqual(talk.change_key(3, new, 7, ZERO), (0, b""))
        self.assertEqual(talk.change_key(3, ZERO, 8, ZERO)[0], 0x1E)
        self.assertEqual(card.app_keys[3].value, new)
        talk.authenticate(0, ZERO)
        self.assertEqual(talk.change_key(3, ZERO, 8, new), (0, b""))
        self.assertEqual(talk.change_key(0, new, 5), (0, b""))
        self.assertEqual(talk.reader.native(0xC4, b"\x00" + bytes(40)), x("91AE"))
        self.assertEqual(talk.authenticate(0, ZERO), 0xAE)
        self.assertEqual(talk.authenticate(0, new), 0)
        self.assertEqual(talk.command(0x64, b"\x00"), (0, b"\x05"))

    def test_only_the_master_key_changes_keys(self):
        card = Ntag424(UID)
        talk = Ev2Reader(ready(card))
        talk.authenticate(1, ZERO)
        self.assertEqual(talk.change_key(1, bytes(range(16)), 1)[0], 0xAE)
        self.assertEqual(card.app_keys[1].value, ZERO)

    def test_each_wrong_bit_of_a_mac_ends_the_session(self):
        card = Ntag424(UID)
        talk = Ev2Reader(ready(card))
        for bit in range(0, 64, 7):
            self.assertEqual(talk.authenticate(0, ZERO), 0)
            tag = bytearray(talk._tag(0x64, b"\x00"))
            tag[bit // 8] ^= 1 << bit % 8
            self.assertEqual(talk.reader.native(0x64, b"\x00" + tag), x("911E"))
            self.assertIsNone(card.session)

    def test_a_replayed_command_is_refused(self):
        talk = Ev2Reader(ready(Ntag424(UID)))
        talk.authenticate(0, ZERO)
        command = b"\x00" + talk._tag(0x64, b"\x00")
        self.assertEqual(len(talk.reader.native(0x64, command)), 11)
        self.assertEqual(talk.reader.native(0x64, command), x("911E"))

    def test_torn_key_change_leaves_the_old_or_the_new_key(self):
        new = bytes(range(1, 17))
        for done in (False, True):
            card = Ntag424(UID)
            talk = Ev2Reader(ready(card))
            talk.authenticate(0, ZERO)
            card.tear(2, done)
            self.assertEqual(talk.change_key(1, new, 2, ZERO), (0, b""))
            self.assertEqual(talk.change_key(2, new, 2, ZERO), (None, None))
            self.assertIsNone(send(card, b"\x02\x90\x60\x00\x00\x00"))
            talk = Ev2Reader(ready(card))
            self.assertEqual(talk.authenticate(2, new if done else ZERO), 0)
            self.assertEqual(talk.command(0x64, b"\x02"), (0, b"\x02" if done else b"\x00"))
            self.assertEqual(talk.authenticate(1, new), 0)

    def test_failures_delay_and_then_lock_a_key(self):
        card = Ntag424(UID, delays=2)
        talk = Ev2Reader(ready(card))
        wrong = bytes(range(16))
        for _ in range(50):
            self.assertEqual(talk.authenticate(1, wrong), 0xAE)
        self.assertEqual([talk.authenticate(1, ZERO) for _ in range(3)], [0xAD, 0xAD, 0])
        self.assertEqual((card.failed[1], card.failed_total[1]), (0, 40))
        card.failed_total[1] = 999
        self.assertEqual(talk.authenticate(1, wrong), 0xAE)
        self.assertEqual(talk.authenticate(1, ZERO), 0x9D)
        talk.authenticate(0, ZERO)
        self.assertEqual(talk.change_key(1, wrong, 1, ZERO), (0, b""))
        self.assertEqual(talk.authenticate(1, wrong), 0)

    def test_files(self):
        card = Ntag424(UID)
        reader = ready(card)
        self.assertEqual(reader.apdu(x("00A4000002E10300")), x("9000"))
        self.assertEqual(reader.apdu(x("00B000000F")), x("001720010000FF0406E10401000000") + x("9000"))
        self.assertEqual(reader.apdu(x("00A4000002E10500")), x("9000"))
        self.assertEqual(reader.apdu(x("00B0000010")), x("6982"))
        self.assertEqual(reader.apdu(x("00A4000002E10600")), x("6A82"))
        self.assertEqual(reader.native(0xF5, b"\x02"), x("0000E0EE000100 9100"))
        self.assertEqual(reader.native(0xF5, b"\x03"), x("0003302380 0000 9100"))
        self.assertEqual(reader.native(0xF5, b"\x04"), x("91F0"))
        self.assertEqual(len(reader.native(0xAD, bytes((2, 0, 0, 0, 0, 0, 0)))), 258)
        self.assertEqual(reader.native(0xAD, bytes((2, 250, 0, 0, 7, 0, 0))), x("91BE"))
        self.assertEqual(reader.native(0xAD, bytes((3, 0, 0, 0, 4, 0, 0))), x("91AE"))
        self.assertEqual(reader.native(0x8D, bytes((2, 1, 0, 0, 2, 0, 0, 7, 8))), x("9100"))
        self.assertEqual(reader.native(0xAD, bytes((2, 0, 0, 0, 3, 0, 0))), x("0007089100"))
        talk = Ev2Reader(reader)
        talk.authenticate(2, ZERO)
        header = bytes((3, 0, 0, 0, 4, 0, 0))
        card.files[3].data[:4] = b"abcd"
        self.assertEqual(talk.command(0xAD, header, full=True), (0, b"abcd"))

    def test_files_by_mode_and_right(self):
        card = Ntag424(UID)
        reader = ready(card)
        reader.apdu(x("00A4000002E10400"))
        card.files[2].mode = FULL
        self.assertEqual(reader.apdu(x("00B0000004")), x("6982"))
        # Free access is plain, and plain again in a session that gives no right of its own.
        self.assertEqual(reader.native(0xAD, bytes((2, 0, 0, 0, 2, 0, 0))), x("0000 9100"))
        talk = Ev2Reader(reader)
        talk.authenticate(1, ZERO)
        self.assertEqual(reader.native(0xAD, bytes((2, 0, 0, 0, 2, 0, 0))), x("0000 9100"))
        talk.counter += 1
        self.assertEqual(talk.command(0x64, b"\x01"), (0, b"\x00"))
        self.assertEqual(reader.apdu(SELECT), x("9000"))
        self.assertEqual(reader.apdu(x("00B0000004")), x("6985"))
        self.assertIsNone(card.session)

    def test_only_the_master_key_configures(self):
        card = Ntag424(UID)
        talk = Ev2Reader(ready(card))
        for number, option, data, status in (
            (1, b"\x00", b"\x02", 0xAE),
            (0, b"\x00", b"\x03", 0x9E),
            (0, b"\x00", b"\x02\x00\x01", 0x7E),
            (0, b"\x05", b"\x02", 0x9E),
            (0, b"\x00", b"\x00", 0),
        ):
            talk.authenticate(number, ZERO)
            self.assertEqual(talk.command(0x5C, option, data, True)[0], status)
            self.assertFalse(card.random_id)

    def test_random_id(self):
        card = Ntag424(UID, random_id=True)
        seen = set()
        for _ in range(8):
            talk = Ev2Reader(ready(card))
            self.assertEqual((len(card.uid), card.uid[0], card.atqa), (4, 8, b"\x04\x03"))
            seen.add(card.uid)
            talk.authenticate(0, ZERO)
            self.assertEqual(talk.command(0x51, full=True), (0, UID))
        self.assertTrue(len(seen) > 6)
        reader = ready(card)
        reader.native(0x60)
        reader.native(0xAF)
        self.assertEqual(reader.native(0xAF)[:7], bytes(7))

    def test_deselect_ends_session_and_selection(self):
        card = Ntag424(UID)
        talk = Ev2Reader(ready(card))
        talk.authenticate(0, ZERO)
        self.assertEqual(send(card, b"\xc2"), b"\xc2")
        self.assertEqual(card.state, HALT)
        self.assertIsNone(card.session)
        self.assertEqual(select(card), 0x20)
        self.assertEqual(len(send(card, b"\xe0\x50")), 6)
        self.assertEqual(send(card, b"\x02" + x("9071000002000000")), b"\x02" + x("9140"))


class Garbage(unittest.TestCase):
    def test_no_command_breaks_a_card(self):
        seed = random.getrandbits(30)
        print("seed", seed)
        random.seed(seed)
        bits = random.getrandbits
        codes = b"\x71\x77\xaf\x60\x64\x51\xc4\xf5\xad\x8d\x5c\x5a\xca\xda\x6a\x45\x54\xfc"
        application = b"\x57\x4d\xf5"
        for card in (Ntag424(UID), Desfire(UID, picc_key=ZERO)):
            reader = ready(card) if isinstance(card, Ntag424) else Reader(card)
            for _ in range(1500):
                session = card.session
                code = codes[bits(8) % len(codes)]
                data = bytes((bits(2),)) + bytes(bits(8) for _ in range(bits(5)))
                if code in b"\x5a\xca\xda":
                    data = application + data[: bits(2)]
                if session and bits(1):
                    data += session.tag(code, data)
                if bits(4) == 0:
                    answer = reader.apdu(bytes((0, (0xA4, 0xB0)[bits(1)], bits(2), 0)) + data)
                elif bits(4) == 0:
                    answer = reader.apdu(bytes((0x90, code)) + data)
                elif card.session is None and bits(1):
                    Ev2Reader(reader).authenticate(0, card.keys[0].value if card.keys else ZERO)
                    continue
                else:
                    answer = reader.native(code, data if bits(2) else b"")
                self.assertTrue(2 <= len(answer) <= 258 and answer[-2] in b"\x90\x91\x67\x69\x6a\x6d\x6e")
            self.assertEqual(len(card.real_uid), 7)
            copy = type(card).from_dict(card.to_dict())
            self.assertEqual(copy.to_dict(), card.to_dict())


class Copies(unittest.TestCase):
    def test_a_card_file_keeps_everything(self):
        card = Ntag424(UID)
        key = bytes(range(16))
        card.set_key(1, key, 3)
        card.files[2].data[5] = 9
        card.failed_total[4] = 12
        kept = json.loads(json.dumps(card.to_dict()))
        self.assertEqual((kept["kind"], kept["uid"]), ("ntag424", "04958caa5c5e80"))
        other = Ntag424.from_dict(kept)
        self.assertEqual(other.to_dict(), card.to_dict())
        self.assertEqual(Ev2Reader(ready(other)).authenticate(1, key), 0)
        self.assertEqual(Ntag424.from_dict({"kind": "ntag424", "uid": kept["uid"]}).to_dict()["keys"][0][1], 0)

    def test_copies_do_not_have_the_keys(self):
        card = Ntag424(UID)
        key = bytes(range(16))
        card.set_key(1, key, 3)
        copy = card.uid_copy()
        self.assertEqual((type(copy), copy.uid), (Card, UID))
        copy.power(True)
        self.assertEqual(select(copy), 0)
        self.assertIsNone(send(copy, b"\xe0\x50"))
        clone = card.clone_without_keys()
        talk = Ev2Reader(ready(clone))
        self.assertEqual(clone.uid, UID)
        self.assertEqual(talk.reader.native(0x64, b"\x01"), x("039100"))
        self.assertEqual(talk.authenticate(1, key), 0xAE)
        self.assertEqual(Ev2Reader(ready(card)).authenticate(1, key), 0)

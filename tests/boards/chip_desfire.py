"""DESFire: applications, key settings and authentication, by the commands that a personalisation sends."""

import json
import unittest

from boards.sim.cards import Card
from boards.sim.desfire import EV2, Desfire
from iso_reader import Ev2Reader, Reader, select, send, x

UID = x("0495910A5D6D80")
AID = x("574DF5")
ZERO = bytes(16)
KEY = bytes(range(16))
NEW = bytes(range(100, 116))
PICC = bytes(3)


def at(card, identifier=AID):
    """Activate a card, select an application and return a reader for it."""
    reader = Reader(card)
    assert reader.native(0x5A, identifier) == x("9100")
    return Ev2Reader(reader)


def personalised(settings=0x0F, keys=3):
    """Return a card with one application whose keys are all different."""
    card = Desfire(UID)
    application = card.add_application(AID, keys, settings)
    for i, key in enumerate(application.keys):
        key.value = bytes((i,)) + KEY[1:]
    return card, application


class Traces(unittest.TestCase):
    def test_an_ev3_as_recorded(self):
        # A DESFire EV3 behind a PN532: version, selection, an order that it does not like.
        card = Desfire(UID)
        card.power(True)
        self.assertEqual(select(card), 0x20)
        self.assertEqual(card.atqa, b"\x44\x03")
        self.assertEqual(send(card, b"\xe0\x80"), x("067577810280"))
        reader = Reader(card)
        for command, answer in (
            ("9060000000", "04010133001A0591AF"),
            ("00A4040007D276000085010100", "6A82"),
            ("00A4040007D2760000850100", "9000"),
            ("00A4000002E103", "6A82"),
            ("905A00000300000000", "9100"),
            ("9060000000", "04010133001A0591AF"),
            ("905A00000300000000", "91CA"),
            ("9060000000", "04010133001A0591AF"),
        ):
            self.assertEqual(reader.apdu(x(command)), x(answer))
        self.assertEqual(reader.native(0xAF)[-2:], x("91AF"))
        self.assertEqual(reader.native(0xAF)[:7], UID)
        self.assertEqual(Reader(Desfire(UID, generation=EV2)).native(0x60)[3], 0x12)


class Applications(unittest.TestCase):
    def test_created_listed_selected(self):
        card = Desfire(UID)
        reader = Reader(card)
        self.assertEqual(reader.native(0x6A), x("9100"))
        self.assertEqual(reader.native(0x5A, AID), x("91A0"))
        self.assertEqual(reader.native(0xCA, AID + b"\x0f\x82"), x("9100"))
        self.assertEqual(reader.native(0xCA, AID + b"\x0f\x82"), x("91DE"))
        self.assertEqual(reader.native(0xCA, x("010203 0b 81")), x("9100"))
        self.assertEqual(reader.native(0x6A), AID + x("010203 9100"))
        self.assertEqual(reader.native(0x5A, x("010203")), x("9100"))
        self.assertEqual(reader.native(0x45), x("0b81 9100"))
        self.assertEqual(reader.native(0x64, b"\x01"), x("9140"))
        self.assertEqual(reader.native(0x6A), x("919D"))
        self.assertEqual(reader.native(0xCA, x("010204 0b 81")), x("919D"))

    def test_impossible_applications(self):
        reader = Reader(Desfire(UID))
        for wrong, status in (
            (AID + b"\x0f", "917E"),
            (AID + b"\x0f\x80", "919E"),
            (AID + b"\x0f\x8f", "919E"),
            (AID + b"\x0f\x02", "919E"),
            (PICC + b"\x0f\x81", "919E"),
        ):
            self.assertEqual(reader.native(0xCA, wrong), x(status))
        for i in range(19):
            self.assertEqual(reader.native(0xCA, bytes((i, 1, 1, 15, 0x81))), x("9100"))
        self.assertEqual(reader.native(0xCA, AID + b"\x0f\x82"), x("91CE"))
        self.assertEqual(len(reader.native(0x6A)), 19 * 3 + 2)

    def test_an_application_is_deleted_by_its_own_master_key(self):
        card, _ = personalised()
        talk = at(card)
        self.assertEqual(talk.reader.native(0xDA, AID), x("91AE"))
        talk.authenticate(1, b"\x01" + KEY[1:])
        self.assertEqual(talk.command(0xDA, AID)[0], 0xAE)
        talk.authenticate(0, KEY)
        self.assertEqual(talk.command(0xDA, AID), (0, b""))
        self.assertEqual(talk.reader.native(0x6A), x("9100"))

    def test_a_closed_card_needs_the_picc_master_key(self):
        card = Desfire(UID, picc_key=NEW)
        card.picc.settings = 0x09
        reader = Reader(card)
        self.assertEqual(reader.native(0x6A), x("91AE"))
        self.assertEqual(reader.native(0xCA, AID + b"\x0f\x82"), x("91AE"))
        talk = Ev2Reader(reader)
        self.assertEqual(talk.authenticate(0, ZERO), 0xAE)
        self.assertEqual(talk.authenticate(0, NEW), 0)
        self.assertEqual(talk.command(0xCA, data=AID + b"\x0f\x82"), (0, b""))
        self.assertEqual(talk.command(0x6A), (0, AID))
        talk = at(card)
        talk.authenticate(0, ZERO)
        self.assertEqual(talk.command(0xDA, AID)[0], 0xAE)
        talk = Ev2Reader(Reader(card))
        talk.authenticate(0, NEW)
        self.assertEqual(talk.command(0xFC), (0, b""))
        self.assertEqual(talk.command(0x6A), (0, b""))
        self.assertEqual(Reader(card).native(0xFC), x("91AE"))

    def test_a_delivered_card_has_no_aes_key_at_picc_level(self):
        self.assertEqual(Reader(Desfire(UID)).native(0x71, b"\x00\x00"), x("9140"))


class Keys(unittest.TestCase):
    def test_authentication(self):
        card, application = personalised()
        application.keys[2].version = 4
        talk = at(card)
        self.assertEqual(talk.authenticate(2, b"\x02" + KEY[1:]), 0)
        self.assertEqual(talk.command(0x64, b"\x02"), (0, b"\x04"))
        self.assertEqual(talk.command(0x51, full=True), (0, UID))
        self.assertEqual(talk.authenticate(2, KEY), 0xAE)
        self.assertEqual(talk.authenticate(3, KEY), 0x40)

    def test_selection_ends_a_session(self):
        card, _ = personalised()
        talk = at(card)
        talk.authenticate(0, KEY)
        self.assertEqual(talk.reader.native(0x5A, AID), x("9100"))
        self.assertEqual(talk.reader.native(0x51), x("91AE"))

    def test_the_master_key_changes_all_keys(self):
        card, application = personalised()
        talk = at(card)
        talk.authenticate(0, KEY)
        self.assertEqual(talk.change_key(1, NEW, 9, b"\x01" + KEY[1:]), (0, b""))
        self.assertEqual(talk.change_key(0, NEW, 8), (0, b""))
        self.assertEqual([key.version for key in application.keys], [8, 9, 0])
        self.assertEqual(talk.authenticate(1, NEW), 0)
        self.assertEqual(talk.change_key(1, KEY, 9)[0], 0xAE)
        self.assertEqual(talk.authenticate(0, NEW), 0)

    def test_a_change_key(self):
        card, application = personalised(0x1F)
        talk = at(card)
        talk.authenticate(1, b"\x01" + KEY[1:])
        self.assertEqual(talk.change_key(2, NEW, 2, b"\x02" + KEY[1:]), (0, b""))
        self.assertEqual(talk.change_key(1, NEW, 2)[0], 0xAE)
        talk.authenticate(0, KEY)
        self.assertEqual(talk.change_key(2, KEY, 3, NEW)[0], 0xAE)
        talk.authenticate(0, KEY)
        self.assertEqual(talk.change_key(1, NEW, 2, b"\x01" + KEY[1:]), (0, b""))
        self.assertEqual([key.version for key in application.keys], [0, 2, 2])

    def test_each_key_changes_itself_or_none_is_changed(self):
        card, application = personalised(0xEF)
        talk = at(card)
        talk.authenticate(2, b"\x02" + KEY[1:])
        self.assertEqual(talk.change_key(2, NEW, 2), (0, b""))
        talk.authenticate(0, KEY)
        self.assertEqual(talk.change_key(1, NEW, 2, b"\x01" + KEY[1:])[0], 0xAE)
        application.settings = 0xFE
        talk.authenticate(0, KEY)
        self.assertEqual(talk.change_key(0, NEW, 2)[0], 0xAE)
        self.assertEqual([key.version for key in application.keys], [0, 0, 2])

    def test_settings(self):
        card, application = personalised()
        talk = at(card)
        self.assertEqual(talk.reader.native(0x54, b"\x0b"), x("91AE"))
        talk.authenticate(0, KEY)
        self.assertEqual(talk.command(0x54, data=b"\x1b", full=True), (0, b""))
        self.assertEqual(talk.command(0x45), (0, b"\x1b\x83"))
        self.assertEqual(talk.command(0x54, data=b"\x3b", full=True)[0], 0x40)
        talk.authenticate(0, KEY)
        self.assertEqual(talk.command(0x54, data=b"\x03", full=True), (0, b""))
        self.assertEqual(talk.command(0x54, data=b"\x0f", full=True)[0], 0x9D)
        self.assertEqual(application.settings, 3)

    def test_power_failures(self):
        for done in (False, True):
            card = Desfire(UID)
            reader = Reader(card)
            card.tear(done=done)
            self.assertIsNone(reader.native(0xCA, AID + b"\x0f\x82"))
            self.assertIsNone(reader.native(0x6A))
            self.assertEqual(Reader(card).native(0x5A, AID), x("9100" if done else "91A0"))
            card, _ = personalised()
            talk = at(card)
            talk.authenticate(0, KEY)
            card.tear(done=done)
            self.assertEqual(talk.change_key(0, NEW, 1), (None, None))
            self.assertEqual(at(card).authenticate(0, NEW if done else KEY), 0)
            card.tear(done=done)
            talk = at(card)
            talk.authenticate(0, NEW if done else KEY)
            self.assertEqual(talk.command(0xDA, AID), (None, None))
            self.assertEqual(Reader(card).native(0x6A), x("9100") if done else AID + x("9100"))


class Copies(unittest.TestCase):
    def test_a_card_file_keeps_everything(self):
        card, application = personalised(0x1B)
        application.keys[1].version = 77
        kept = json.loads(json.dumps(card.to_dict()))
        self.assertEqual((kept["kind"], kept["uid"]), ("desfire", "0495910a5d6d80"))
        other = Desfire.from_dict(kept)
        self.assertEqual(other.to_dict(), card.to_dict())
        self.assertEqual(at(other).authenticate(1, b"\x01" + KEY[1:]), 0)
        closed = Desfire.from_dict(Desfire(UID, picc_key=NEW).to_dict())
        self.assertEqual(Ev2Reader(Reader(closed)).authenticate(0, NEW), 0)
        self.assertEqual(Desfire.from_dict({"kind": "desfire", "uid": kept["uid"]}).applications, [])

    def test_copies_do_not_have_the_keys(self):
        card, application = personalised()
        application.keys[1].version = 3
        copy = card.uid_copy()
        self.assertEqual((type(copy), copy.uid), (Card, UID))
        clone = card.clone_without_keys()
        talk = at(clone)
        self.assertEqual(talk.reader.native(0x64, b"\x01"), x("039100"))
        for number in range(3):
            self.assertEqual(talk.authenticate(number, bytes((number,)) + KEY[1:]), 0xAE)
            self.assertEqual(at(card).authenticate(number, bytes((number,)) + KEY[1:]), 0)

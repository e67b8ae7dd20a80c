"""A certificate that no handshake could use is refused before anything is stored."""

import json
import os
import sys
from binascii import unhexlify

from parcel_world import ROOT, Base

from firmware import provision
from storage import certificates, record


class Chip:
    """As much of the module esp32 as sync/credentials.py imports."""

    HEAP_DATA = 4


sys.modules["esp32"] = Chip

# A CA, a door's certificate and its key as `menwei pki` makes them.
CA = unhexlify(
    "3082016230820109a0030201020208696c872f2508cee0300a06082a8648ce3d04030230143112301006035504030c096d656e7765692043"
    "41301e170d3230303130313030303030305a170d3439313233313233353935395a30143112301006035504030c096d656e77656920434130"
    "59301306072a8648ce3d020106082a8648ce3d0301070342000427e0a012c1dd3946fd62074d7b09e6106daef8da9ed945954ee124cbdd26"
    "a27f1fa639ff14c36fead62b7fb467c565b92a515ce4437ae68a1abd9d4b4bd22673a345304330120603551d130101ff040830060101ff02"
    "0100300e0603551d0f0101ff040403020106301d0603551d0e041604145be0b0e8be5b5717c75de88d1cee7b1d7fc90823300a06082a8648"
    "ce3d04030203470030440220490f01b8b1cb20ce90a2df4a3a830b1a261acdb8829b4a1739421942354fdf34022034c56ee4772b22dafaf6"
    "6598b4832b8a75db9a3832286858f128d21eeaff5271"
)
CERTIFICATE = unhexlify(
    "308201763082011ca00302010202085539785932075d54300a06082a8648ce3d04030230143112301006035504030c096d656e7765692043"
    "41301e170d3230303130313030303030305a170d3238313132343034323335315a30163114301206035504030c0b67617264656e2f676174"
    "653059301306072a8648ce3d020106082a8648ce3d030107034200042b00d9463759d128954078df0c7ee74d312a9727de01e036e56a36f0"
    "555b46c8de94a4871acc56befbc935c73d0fac0e3ae4c30ebc823dd7ccc8ea6e74407344a3563054300c0603551d130101ff04023000300e"
    "0603551d0f0101ff04040302078030130603551d25040c300a06082b06010505070302301f0603551d230418301680145be0b0e8be5b5717"
    "c75de88d1cee7b1d7fc90823300a06082a8648ce3d0403020348003045022100ee22d2445e1312cee0fca35191aeeb1d0f8becc54c92f9a0"
    "0d895d496880611e02204c7aa5ef9eddac12cfecb99a2e3371e190018db36d58be0c28f547aac20cc030"
)
KEY = unhexlify(
    "30770201010420b24613db18685f0248b1db9768d1b04b7ba39ea5f760dd8db6a0dd4cd5ded4dfa00a06082a8648ce3d030107a144034200"
    "042b00d9463759d128954078df0c7ee74d312a9727de01e036e56a36f0555b46c8de94a4871acc56befbc935c73d0fac0e3ae4c30ebc823d"
    "d7ccc8ea6e74407344"
)


def given(ca=CA, certificate=CERTIFICATE, key=KEY, serial=b"\x01\x02", until=300_000_000):
    return {
        "ca": ca.hex(),
        "certificate": certificate.hex(),
        "key": key.hex(),
        "serial": serial.hex(),
        "until": until,
    }


def refusal(wrong):
    """In which words it is refused."""
    try:
        provision._tls(wrong)
    except ValueError as error:
        return str(error)
    return ""


class Certificates(Base):
    def test_one_that_can_be_used_is_stored(self):
        self.assertEqual(self.parcel({"tls": given()}, 2), (record.PARCEL_TAKEN, 7))
        (path,) = certificates.paths(ROOT)
        self.assertEqual(certificates.read(path), (b"\x01\x02", 300_000_000, CA, CERTIFICATE, KEY))

    def test_what_is_none_is_refused_in_a_sentence_and_nothing_is_stored(self):
        before = self.held()
        for wrong in (
            given(ca=b"no certificate"),
            given(certificate=b"no certificate"),
            given(key=b"no key"),
            given(ca=KEY),
            given(certificate=KEY),
            given(key=CERTIFICATE),
            given(ca=CA[:-1]),
            given(certificate=CERTIFICATE[:100]),
            given(key=KEY[:-3]),
        ):
            text = refusal(wrong)
            self.assertTrue("tls: ca and certificate must be X.509, key must be" in text, text)
            for kind in (1, 2):
                self.assertEqual(self.parcel({"tls": wrong}, kind), (record.PARCEL_REFUSED, 7))
            both = {"tls": wrong, "wifi_secret": "other", "settings": {"open_s": 9}}
            self.assertEqual(self.parcel(both), (record.PARCEL_REFUSED, 7))
            self.assertRaises(ValueError, self.installed, both)
            os.remove(ROOT + "/provision.json")
            self.assertEqual(self.held(), before)
            self.assertEqual(certificates.paths(ROOT), [])

    def test_what_is_missing_is_told(self):
        for name in ("ca", "certificate", "key", "serial"):
            wrong = given()
            wrong[name] = ""
            self.assertTrue("are needed, in hex" in refusal(wrong))

    def test_the_certificate_that_works_is_not_overwritten(self):
        for number, words in enumerate(("7 1", "8 1 01", "9 2 01")):
            with open(ROOT + "/provision.parcel", "w") as file:
                file.write(words + "\n" + json.dumps({"tls": given(serial=bytes((number + 1,)))}))
            self.start()
        serials = [certificates.read(path)[0] for path in certificates.paths(ROOT)]
        self.assertEqual(serials, [b"\x03", b"\x01"])

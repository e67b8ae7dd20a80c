"""Settings and the log on MicroPython: every bad value is named, nothing is half taken."""

from unittest import TestCase

from firmware import config
from firmware.clock import Clock, Uptime
from firmware.log import Log
from storage import record


class Validation(TestCase):
    def refused(self, values, words):
        try:
            config.validate(values)
        except ValueError as error:
            self.assertTrue(words in str(error), str(error))
        else:
            self.fail("accepted: %r" % values)

    def test_defaults_are_valid(self):
        self.assertEqual(config.validate({}), config.DEFAULTS)

    def test_values_replace_defaults(self):
        self.assertEqual(config.validate({"open_s": 9})["open_s"], 9)

    def test_every_number_has_its_limits(self):
        for key, limits in config._LIMITS.items():
            self.refused({key: limits[0] - 1}, key)
            self.refused({key: limits[1] + 1}, key)

    def test_types_are_checked(self):
        self.refused({"open_s": "5"}, "open_s: must be int")
        self.refused({"tls": 1}, "tls: must be bool")
        self.refused({"residents": 0}, "residents: must be list")
        self.refused({"open_s": True}, "open_s: must be int")

    def test_kinds_of_credential(self):
        for kinds in ([], ["pin"], [1], ["uid", "pin"]):
            self.refused({"kinds": kinds}, "kinds: a list of uid, classic, ntag424, desfire")
        for group in ("64", "x", "-1", "", "03"):
            self.refused({"group_kinds": {group: ["uid"]}}, "group_kinds: groups are numbers")
        self.refused({"group_kinds": {"3": "uid"}}, "kinds: a list of")
        settings = config.validate({"kinds": ["classic", "uid"], "group_kinds": {"3": ["ntag424"]}})
        self.assertEqual(config.all_kinds(settings), ["ntag424", "classic", "uid"])
        strong, accepted = config.masks(settings)
        self.assertEqual(strong, b"\x03\x02")
        self.assertEqual((accepted[0], accepted[3], accepted[63]), (0b110, 0b1000, 0b110))

    def test_contacts(self):
        self.refused({"contacts": ["leaf", "roof"]}, "contacts: a list of leaf, exit, fire, key")
        self.refused({"contacts": ["leaf"], "supervised": ["exit"]}, "supervised: a list of contacts that also")
        self.refused({"contacts": ["leaf", "fire"]}, "contacts: fire needs key")
        settings = config.validate({"contacts": ["leaf", "fire", "key", "bolt"], "supervised": ["leaf"]})
        self.assertEqual(settings["supervised"], ["leaf"])
        self.assertEqual(config.validate({"contacts": []})["contacts"], [])

    def test_gains_of_the_receiver(self):
        self.refused({"reader_gain_db": 34}, "reader_gain_db")
        self.assertEqual(config.validate({"reader_gain_db": 48})["reader_gain_db"], 48)

    def test_the_clock_chip_and_the_ntp_server(self):
        self.refused({"rtc": "ds1307"}, "rtc: none or ds3231")
        self.refused({"ntp_host": "pool.ntp.org"}, "ntp_host: give the server's IPv4 number")
        self.refused({"ntp_host": "10.0.0.1:0"}, "ntp_host: the port")
        settings = config.validate({"rtc": "ds3231", "ntp_host": "10.0.0.1:1123"})
        self.assertEqual((settings["rtc"], settings["ntp_host"]), ("ds3231", "10.0.0.1:1123"))

    def test_unknown_names_are_named(self):
        self.refused({"opens": 5}, "opens: no such setting")

    def test_names_fit_into_topics(self):
        for name in ("", "a/b", "+", "#", "x" * 33, "Tür"):
            self.refused({"site": name}, "site")
            self.refused({"door": name}, "door")

    def test_groups(self):
        self.refused({"residents": [64]}, "residents")
        self.refused({"residents": ["0"]}, "residents")

    def test_the_renewal_needs_tls(self):
        self.refused({"renew_port": 8884}, "renew_port")
        self.refused({"tls": True, "renew_port": 65536}, "renew_port")
        self.assertEqual(validate({"tls": True, "renew_port": 8884})["renew_port"], 8884)

    def test_the_warning_comes_before_the_alarm(self):
        self.refused({"held_warn_s": 60, "held_alarm_s": 60}, "held_alarm_s")


class Lines(TestCase):
    def setUp(self):
        self.lines = []
        self.uptime = Uptime()
        self.clock = Clock(200_000_000, 50)
        self.log = Log(self.lines.append, self.clock, self.uptime)

    def test_uptime_until_the_clock_is_known(self):
        self.uptime.advance(61_500)
        self.clock.update(61)
        self.assertEqual(self.clock.trust, record.FLOOR)
        self.log.info("reader", "found", version="0x92")
        self.assertEqual(self.lines, ["+61s info  reader found version=0x92\n"])

    def test_time_in_utc(self):
        self.clock.synchronise(215_654_461, 0)
        self.log.error("door", "alarm", number=3, state="held open")
        self.assertEqual(self.lines, ["2026-11-01T00:01:01Z error door   alarm number=3 state=held open\n"])

"""Settings of a door: defaults, limits, and a check that says what is wrong.

    settings = Settings(directory).load(config.DEFAULTS, config.validate)

Secrets are not settings: they live in `storage.keys`.
"""

from firmware import policysource

DEFAULTS = {
    "site": "site",
    "door": "door",
    "host": "",
    "port": 1883,
    "tls": False,
    "renew_port": 0,
    "keepalive_s": 60,
    "wifi_ssid": "",
    "open_s": 5,
    "held_warn_s": 30,
    "held_alarm_s": 60,
    "forced_alarm": True,
    "exit_stuck_s": 30,
    "contacts": ["leaf", "exit", "fire", "key", "intercom", "tamper"],
    "supervised": [],
    "mute_s": 300,
    "sound_s": 180,
    "closer_slow_percent": 150,
    "residents": [0],
    "policy": {},
    "drift_ppm": 50,
    "key_version": 0,
    "keep_days": 180,
    "kinds": ["uid"],
    "group_kinds": {},
    "magic_alarm": False,
    "reader_gain_db": 33,
    "reader_spi_khz": 4000,
    "self_test_hour": 3,
    "desk": False,
    "rtc": "none",
    "ntp_host": "",
    "clock_lost_s": 600,
}

# Contacts that may be fitted; their numbers, from 1 on, are in docs/door.md.
CONTACTS = ("leaf", "exit", "fire", "key", "intercom", "tamper", "bolt", "handle")

# Kinds of credential, from 1 on in the order of storage.record.
KINDS = ("uid", "classic", "ntag424", "desfire")

# kinds: what this door takes; group_kinds: what it takes from one group instead, {"3": ["ntag424"]}. During a migration
# there are several. magic_alarm: look whether a UID card is one of the rewritable kind that kiosks use, after it was
# served. desk: this board stands in the card office and writes cards, it serves no door (docs/cards.md).

# policy: schedules, holidays, free passage and what else decides who may pass when (docs/policy.md).
# rtc: the clock chip that is fitted, "none" or "ds3231". ntp_host: IPv4 number of a server for the system clock, never
# for the clock of decisions; "" for none. clock_lost_s: an alarm when the time is less certain (docs/time.md).
# self_test_hour: local time of the daily self-test (docs/self-test.md).

# keep_days: what upstream has acknowledged is erased after so many days, 0 never; GB 50396-2007 wants 180 days at the
# centre, not at the door.

# Lowest and highest value of each number. The opening time covers a slow walker; a drift bound of 100 ppm is
# five times what GB 50396-2007 5.1.3 (10 s a day) allows to show, because a cold stairwell detunes the crystal.
_LIMITS = {
    "clock_lost_s": (60, 86400),
    "port": (1, 65535),
    "renew_port": (0, 65535),
    "keepalive_s": (10, 600),
    "open_s": (1, 120),
    "held_warn_s": (5, 3600),
    "held_alarm_s": (10, 7200),
    "exit_stuck_s": (5, 3600),
    "mute_s": (10, 86400),
    "sound_s": (5, 3600),
    "closer_slow_percent": (0, 400),  # of what was learnt; 0: no alarm
    "drift_ppm": (1, 1000),
    "key_version": (0, 3),
    "self_test_hour": (0, 23),
    "keep_days": (0, 3650),
    "reader_gain_db": (18, 48),
    "reader_spi_khz": (100, 10000),  # MFRC522 data sheet 8.1.2: up to 10 MHz
}
_CLOSER_LEAST_PERCENT = 120  # less is people, not the closer
_GAINS_DB = (18, 23, 33, 38, 43, 48)
_NAME_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789-"


def _check_name(key, value):
    if not 1 <= len(value) <= 32 or any(character not in _NAME_CHARACTERS for character in value):
        raise ValueError("%s: use 1 to 32 of a-z 0-9 -" % key)


def all_kinds(settings):
    """Return the kinds of credential that this door takes from anybody, the strongest first."""
    taken = [settings["kinds"]] + list(settings["group_kinds"].values())
    return [kind for kind in reversed(KINDS) if any(kind in kinds for kinds in taken)]


def masks(settings):
    """Return the kinds that prove themselves, the strongest first, and for each group the bits `1 << kind` it may use.

    Both are bytes; kinds are numbered as in storage.record.
    """
    strong = [KINDS.index(name) + 1 for name in all_kinds(settings) if name != "uid"]
    accepted = bytearray(64)
    for group in range(64):
        for name in settings["group_kinds"].get(str(group), settings["kinds"]):
            accepted[group] |= 2 << KINDS.index(name)
    return bytes(strong), bytes(accepted)


def _check_kinds(checked):
    for group, kinds in [("0", checked["kinds"])] + list(checked["group_kinds"].items()):
        # masks() looks a group up by its number: "03" would never be found, and the group keep the weaker kinds
        if not group.isdigit() or int(group) > 63 or str(int(group)) != group:
            raise ValueError("group_kinds: groups are numbers from 0 to 63, without zeros before them")
        if not isinstance(kinds, list) or not kinds or any(kind not in KINDS for kind in kinds):
            raise ValueError("kinds: a list of %s" % ", ".join(KINDS))


def _check_contacts(fitted, supervised):
    if any(name not in CONTACTS for name in fitted):
        raise ValueError("contacts: a list of %s" % ", ".join(CONTACTS))
    if any(name not in fitted for name in supervised):
        raise ValueError("supervised: a list of contacts that also stand in the setting contacts")
    if "fire" in fitted and "key" not in fitted:
        raise ValueError("contacts: fire needs key, nothing else ends its release")


def validate(values):
    """Return a complete dict of settings: `values` where they are given, defaults elsewhere.

    Raises:
        ValueError: names the setting and says what it may be. Nothing is taken over then.
    """
    for key in values:
        if key not in DEFAULTS:
            raise ValueError("%s: no such setting" % key)
    checked = {}
    for key, default in DEFAULTS.items():
        value = values.get(key, default)
        if type(value) is not type(default):
            raise ValueError("%s: must be %s" % (key, type(default).__name__))
        if key in _LIMITS and not _LIMITS[key][0] <= value <= _LIMITS[key][1]:
            raise ValueError("%s: must lie between %d and %d" % (key, _LIMITS[key][0], _LIMITS[key][1]))
        checked[key] = value
    _check_name("site", checked["site"])
    _check_name("door", checked["door"])
    for group in checked["residents"]:
        if type(group) is not int or not 0 <= group <= 63:
            raise ValueError("residents: a list of group numbers from 0 to 63")
    _check_kinds(checked)
    _check_contacts(checked["contacts"], checked["supervised"])
    policysource.compiled(checked)
    if checked["reader_gain_db"] not in _GAINS_DB:
        raise ValueError("reader_gain_db: must be 18, 23, 33, 38, 43 or 48")
    if checked["rtc"] not in ("none", "ds3231"):
        raise ValueError("rtc: none or ds3231")
    if checked["ntp_host"]:
        from sync import ntp

        ntp.address(checked["ntp_host"])
    if checked["renew_port"] and not checked["tls"]:
        raise ValueError("renew_port: needs tls, only certificates are renewed there")
    if 0 < checked["closer_slow_percent"] < _CLOSER_LEAST_PERCENT:
        raise ValueError("closer_slow_percent: must be 0 for no alarm, or lie between 120 and 400")
    if checked["held_alarm_s"] <= checked["held_warn_s"]:
        raise ValueError("held_alarm_s: must be longer than held_warn_s, the warning comes first")
    return checked

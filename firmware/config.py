"""Settings of a door: defaults, limits, and a check that says what is wrong.

    settings = Settings(directory).load(config.DEFAULTS, config.validate)

Secrets are not settings: they live in `storage.keys`.
"""

DEFAULTS = {
    "site": "site",
    "door": "door",
    "host": "",
    "port": 1883,
    "tls": False,
    "keepalive_s": 60,
    "wifi_ssid": "",
    "open_s": 5,
    "held_warn_s": 30,
    "held_alarm_s": 60,
    "forced_alarm": True,
    "residents": [0],
    "drift_ppm": 50,
    "key_version": 0,
    "keep_days": 180,
}

# keep_days: what upstream has acknowledged is erased after so many days, 0 never; GB 50396-2007 wants 180 days at the
# centre, not at the door.

# Lowest and highest value of each number. The opening time covers a slow walker; a drift bound of 100 ppm is
# five times what GB 50396-2007 5.1.3 (10 s a day) allows to show, because a cold stairwell detunes the crystal.
_LIMITS = {
    "port": (1, 65535),
    "keepalive_s": (10, 600),
    "open_s": (1, 120),
    "held_warn_s": (5, 3600),
    "held_alarm_s": (10, 7200),
    "drift_ppm": (1, 1000),
    "key_version": (0, 3),
    "keep_days": (0, 3650),
}
_NAME_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789-"


def _check_name(key, value):
    if not 1 <= len(value) <= 32 or any(character not in _NAME_CHARACTERS for character in value):
        raise ValueError("%s: use 1 to 32 of a-z 0-9 -" % key)


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
    if checked["tls"]:
        raise ValueError("tls: this version has none yet, and does not pretend to")
    if checked["held_alarm_s"] <= checked["held_warn_s"]:
        raise ValueError("held_alarm_s: must be longer than held_warn_s, the warning comes first")
    return checked

"""Lines about the time that must not be otherwise; `python -m tests.mutants` tells the form."""

_CLOCK = ("tests/firmware/test_clock.py",)
_CARE = "tests/firmware/chip_clockcare.py::Care."
_NTP = ("tests/sync/chip_ntp.py::Parsing.test_the_era_of_2036 tests/sync/chip_ntp.py::Parsing.test_strata",)
_FORGED = ("tests/sync/chip_ntp.py::Client.test_a_forged_answer_before_the_right_one_changes_nothing",)
_CHIP = ("tests/drivers/chip_ds3231.py",)


def _keeping(test):
    file = "chip_lowering" if test.startswith("Lowering") else "chip_settime"
    return (f"tests/firmware/{file}.py::{test}",)


_CUTS = _keeping("Lowering.test_power_goes_at_every_operation")
_HALF = _keeping("Lowering.test_a_clock_chip_that_was_written_half_is_not_believed")

MUTANTS = [
    # --- the clock of decisions ---
    (
        "firmware/clock.py",
        "now_s = earliest_s = now_s - error_s",
        "earliest_s = now_s",
        "a fast oscillator carries the floor beyond the truth, and with it the residents' cards",
        _CLOCK,
    ),
    (
        "firmware/clock.py",
        "if time_s < self.floor_s or time_s >= _FOREVER_S:",
        "if time_s >= _FOREVER_S:",
        "a message turns the clock back behind its floor",
        _CLOCK,
    ),
    (
        "firmware/clock.py",
        "if uptime_s <= self._fresh_s:",
        "if True:",
        "a clock that nobody has set for months counts as exact",
        _CLOCK,
    ),
    # --- what is taken, doubted, learnt ---
    (
        "firmware/clockrules.py",
        "if age_s < CONFIRM_S:",
        "if False:",
        "a wrong time confirms itself at once",
        _CLOCK,
    ),
    (
        "firmware/clockrules.py",
        "near = abs(step_s) <= (_RUNNING_S if clock.trust else _DARK_S)",
        "near = True",
        "upstream alone takes a door ten years ahead, and locks its residents out",
        _CLOCK,
    ),
    (
        "firmware/clockrules.py",
        "return abs(step_s) <= _SLACK_S + (1 << clock.uncertainty)",
        "return step_s <= _SLACK_S + (1 << clock.uncertainty)",
        "a step back is not doubted",
        _CLOCK,
    ),
    (
        "firmware/clockrules.py",
        "if abs(offset_s - first_s) <= _SLACK_S + age_s // 1000 * clock.drift_ppm // 1000:",
        "if True:",
        "two wrong times that do not agree confirm each other",
        _CLOCK,
    ),
    (
        "firmware/clockrules.py",
        "if age_s < _DAY_S or age_s * limit_ppm < _LATE_S * 1_000_000:",
        "if age_s <= 0:",
        "the lateness of two messages counts as drift",
        _CLOCK,
    ),
    (
        "firmware/clockrules.py",
        "if abs(found_ppm) > limit_ppm + _LATE_S * 1_000_000 // age_s:",
        "if False:",
        "upstream's clock is set, and the door learns a rate from it that no oscillator has",
        _CLOCK,
    ),
    # --- what a power cut leaves ---
    (
        "firmware/settime.py",
        'if time_s < BUILT_S or not (kept.set("rtc_set", 0) and kept.set("sys_set", 0)):',
        "if time_s < BUILT_S:",
        "the clock chip brings the wrong years back after a power cut in the correction",
        _CUTS,
    ),
    (
        "firmware/settime.py",
        'if chip and not fresh and kept.set("rtc_set", 0):',
        "if chip and not fresh:",
        "a clock chip that was set half is believed",
        _HALF,
    ),
    (
        "storage/recovery.py",
        "journal.last_time_s = journal._latest_s = max(earliest_s - get30(page, offset + record.DETAIL), 0)",
        "",
        "the records of the wrong years raise the floor again",
        _keeping("Lowering.test_ten_years_ahead_and_back_survives_the_power_cut"),
    ),
    (
        "firmware/clockstart.py",
        "if not set_s or age_s < 0 or now_s + error_s < clock.floor_s:",
        "if now_s + error_s < clock.floor_s:",
        "what NTP set is a time that is held after the next reset",
        (f"{_CARE}test_ntp_sets_the_system_clock_and_nothing_else",),
    ),
    (
        "firmware/clockcare.py",
        'if not clock.trust and clock.care[0].set("sys_set", 0):',
        "if not clock.trust:",
        "the same, a line earlier",
        (f"{_CARE}test_ntp_steps_aside_if_what_it_did_cannot_be_noted",),
    ),
    # --- what comes over wires ---
    (
        "drivers/ds3231.py",
        "if not 0 <= second_s - first_s <= 1:",
        "if False:",
        "a bit that flipped on the bus makes a time",
        _CHIP,
    ),
    (
        "sync/ntp.py",
        "if len(reply) < _LENGTH or reply[0] & 7 != _SERVER or reply[24:32] != cookie:",
        "if len(reply) < _LENGTH or reply[0] & 7 != _SERVER:",
        "whoever sends a datagram sets the system clock",
        _FORGED,
    ),
    (
        "sync/ntp.py",
        'time_s = (int.from_bytes(reply[40:44], "big") - _EPOCH_S) % _ERA_S',
        'time_s = int.from_bytes(reply[40:44], "big") - _EPOCH_S',
        "no time from NTP after February 2036",
        _NTP,
    ),
]

"""A granted tap at a whole door: flash operations, and milliseconds from the card in the field to the relay.

All tasks of the firmware run on the simulated board in virtual time (tap_door.py); cards with UIDs of 4 and of 7 bytes
come at random moments of the reader's look, one in four is a visitor's with uses. The list holds 40 cards: what a
longer one adds, cards.lookup_hit.reads tells.

The model of time. SPI: 80 µs a call, which includes the interpreter around it. Flash, air and frames: as data sheet and
standard have them. Interpreter: an instruction of the unix port on x86-64, as `make instructions` counts them, is
charged with 12.7 ns. That is a turn of asyncio's loop, 23,600 of them, in 300 µs, the slow end of what is measured on
an ESP32 (100 to 300 µs); it comes to 3 cycles of 240 MHz each. So a turn costs 300 µs, and what lies between UID and
relay is charged at once, hashing not prepared ahead, though the door prepares it.

The alternative, a loop with a file for each card and a log on LittleFS, is not charged with computing at all.
"""

from tests.bench.unix_port import run_all

TAPS = 150
NAIVE_TAPS = 40
NAIVE_CARDS = 100
SEED = 1
TURN_US = 300
INSTRUCTION_NS = 12.7
JUDGE_INSTRUCTIONS = 1_190_000  # from a UID to the relay


def measure():
    """Return the figures."""
    judge_us = round(JUDGE_INSTRUCTIONS * INSTRUCTION_NS / 1000)
    ours, naive = run_all(
        ("tap_door.py", "ours", TAPS, SEED, TURN_US, judge_us), ("tap_door.py", "naive", NAIVE_TAPS, SEED, NAIVE_CARDS)
    )
    print(f"tap: {TAPS} taps, mean {ours['mean']:.1f} ms, worst {ours['most']:.1f} ms, {ours['reads_mean']:.2f} reads")
    return {
        "tap.flash_reads": (ours["reads"], naive["reads"]),
        "tap.flash_programs": (ours["programs"], naive["programs"]),
        "tap.flash_erases": (ours["erases"], naive["erases"]),
        "tap.ms.p99": (round(ours["p99"], 1), round(naive["p99"], 1)),
    }

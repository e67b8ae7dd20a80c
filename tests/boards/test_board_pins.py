"""Pins of each board: nothing that can move a bolt or make a noise sits where the chip's start-up plays with it."""

import runpy

import pytest

from menwei.build import ROOT

BOARDS = sorted(path.parent.name for path in (ROOT / "boards").glob("esp32*/board.py"))
# ESP32 data sheet: strapping 0, 2, 5, 12, 15; UART 1, 3; flash 6 to 11. Outputs exist up to 33.
BARRED = {0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 15}
FIRST_INPUT_ONLY = 34


def constants(board):
    """What a board says."""
    return runpy.run_path(str(ROOT / "boards" / board / "board.py"))


@pytest.mark.parametrize("board", BOARDS)
def test_relay_and_sounder_are_quiet_through_reset(board):
    said = constants(board)
    for pin in (said["PIN_RELAY"], said["PIN_SOUNDER"]):
        assert pin not in BARRED
        assert pin < FIRST_INPUT_ONLY


@pytest.mark.parametrize("board", BOARDS)
def test_no_pin_is_used_twice(board):
    pins = [value for name, value in constants(board).items() if name.startswith("PIN_") and value is not None]
    assert len(pins) == len(set(pins))


@pytest.mark.parametrize("board", BOARDS)
def test_flash_regions_follow_each_other_and_fit(board):
    said = constants(board)
    end = 0x9000  # bootloader and partition table
    for label, offset, size in said["FLASH"]:
        assert offset >= end, label
        assert offset % 4096 == 0 and size % 4096 == 0, label
        end = offset + size
    assert end <= said["FLASH_SIZE"]

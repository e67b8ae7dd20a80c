"""Where the regions of a flash lie: by the image's own partition table, or by the boards that the project knows.

    regions = locate(data)                      # {"cards": (offset, size), "journal": (offset, size)}
    offset, size = board_region("journal")      # of the board that the simulator imitates

ESP-IDF writes the table at 0x8000: entries of 32 bytes (magic 0xAA50, type, subtype, offset, size, label of 16 bytes,
flags), closed by an MD5 entry or by ones. It is read here in a few lines. The kept libraries that can do it are made
for building firmware: they bring a serial flasher along, or want a well-formed table and end in their own exceptions
where a technician needs a sentence about a bad dump.
"""

from __future__ import annotations

import ast
import hashlib
import struct
from functools import cache
from pathlib import Path

from menwei.build import ROOT
from menwei.rawflash import SECTOR, blank, clean_count, sectors

SIMULATED = "esp32_wroom_4mb"
LABELS = ("cards", "journal")
_TABLE = 0x8000
_TABLE_SIZE = 0xC00
_ENTRY = struct.Struct("<2sBBII16sI")
_MAGIC, _MD5 = b"\xaa\x50", b"\xeb\xeb"
_READ = "read the whole chip again: esptool read-flash 0 ALL flash.img"

Regions = dict[str, tuple[int, int]]


class ImageError(ValueError):
    """A file that cannot be read as a flash image; the message says what to do."""


@cache
def boards() -> dict[str, tuple[int, Regions]]:
    """Flash size and regions of every board with a flash map of its own, read from `board.py` without running it."""
    found = {}
    for path in sorted((ROOT / "boards").glob("*/board.py")):
        said = {}
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                if name in ("FLASH", "FLASH_SIZE"):
                    said[name] = ast.literal_eval(node.value)
        if len(said) == 2:
            found[path.parent.name] = said["FLASH_SIZE"], {label: (at, size) for label, at, size in said["FLASH"]}
    return found


def board_region(label: str, board: str = SIMULATED) -> tuple[int, int]:
    """Offset and size of one region of a board; ValueError if there is none."""
    _, regions = boards().get(board, (0, {}))
    if label not in regions:
        raise ValueError(f"boards/{board}/board.py names no flash region {label!r}")
    return regions[label]


def partition_table(data: bytes) -> Regions | None:
    """The regions by the table in the image; None if there is none, or one that is damaged."""
    table = data[_TABLE : _TABLE + _TABLE_SIZE]
    regions: Regions = {}
    for at in range(0, len(table) - _ENTRY.size + 1, _ENTRY.size):
        magic, _, _, offset, size, label, _ = _ENTRY.unpack_from(table, at)
        if magic == _MD5 and table[at + 16 : at + 32] != hashlib.md5(table[:at]).digest():
            return None
        if magic != _MAGIC:
            return regions or None
        regions[label.rstrip(b"\0").decode("ascii", "replace")] = offset, size
    return regions or None


def locate(data: bytes, board: str | None = None) -> Regions:
    """Where cards and journal lie in a whole image.

    Args:
        board: a folder in boards/, for an image without a partition table.

    Raises:
        ImageError: it is no whole image of a flash, or not that of a door.
    """
    table = partition_table(data) if board is None else None
    if not data:
        raise ImageError(f"the file is empty; {_READ}")
    if table is not None:
        if missing := [label for label in LABELS if label not in table]:
            raise ImageError(
                f"its partition table has no region {' and no region '.join(missing)}, so it is not a menwei door's;"
                " is it the right file?"
            )
        regions, chip = table, 1 << 20
        while chip < max(offset + size for offset, size in table.values()):
            chip *= 2
    else:
        chip, regions = _board_of(data, board)
    regions = {label: regions[label] for label in LABELS}
    for label, (offset, size) in regions.items():
        if size % SECTOR or offset % SECTOR or not size:
            raise ImageError(f"its region {label} does not consist of whole sectors: the partition table is damaged")
        if offset + size > len(data):
            raise ImageError(
                f"the file ends at {len(data):,} bytes, but the region {label} goes to {offset + size:,}; {_READ}"
            )
    if len(data) >= 2 * chip and _holds_door(data[chip:], regions):
        raise ImageError(
            f"the file holds several images of {chip:,} bytes one behind the other; inspect one at a time:"
            f" head -c {chip} FILE > first.img; tail -c +{chip + 1} FILE > rest.img"
        )
    if not _holds_door(data, regions):
        raise ImageError(_what_it_is(data, regions))
    return regions


def whole_region(label: str, data: bytes) -> Regions:
    """The same for a file that is the dump of one region."""
    if not data or len(data) % SECTOR:
        raise ImageError(
            f"the file has {len(data):,} bytes, a region has whole sectors of {SECTOR:,}; read exactly the region:"
            " esptool read-flash OFFSET SIZE region.img"
        )
    regions = {label: (0, len(data))}
    if any(size == len(data) for size, _ in boards().values()) and not _holds_door(data, regions):
        raise ImageError(f"the file is as large as a whole flash; leave out --region {label}")
    if not _holds_door(data, regions):
        raise ImageError(_what_it_is(data, regions))
    return regions


def _board_of(data: bytes, board: str | None) -> tuple[int, Regions]:
    known = boards()
    if board is not None and board not in known:
        raise ImageError(f"there is no board {board}; boards that are known: {', '.join(known)}")
    fitting = [known[board]] if board else list(known.values())
    exact = [entry for entry in fitting if len(data) == entry[0]]
    # Several images one behind the other are told apart later.
    multiple = [entry for entry in fitting if len(data) > entry[0] and len(data) % entry[0] == 0]
    if not (exact or multiple):
        sizes = " or ".join(f"{size:,} ({name})" for name, (size, _) in known.items() if board in (None, name))
        raise ImageError(
            f"the file has {len(data):,} bytes and no partition table; a whole image has {sizes}. {_READ[0].upper()}"
            f"{_READ[1:]}, or for the dump of one region say --region cards or --region journal"
        )
    return (exact or multiple)[0]


def _holds_door(data: bytes, regions: Regions) -> bool:
    """Whether any sector of the regions has a clean marker: every one has, once a door was formatted there."""
    return any(
        clean_count(sector) is not None
        for offset, size in regions.values()
        for _, sector in sectors(data[offset : offset + size])
    )


def _what_it_is(data: bytes, regions: Regions) -> str:
    content = b"".join(data[offset : offset + size] for offset, size in regions.values())
    if blank(content):
        return "the regions are erased: this chip has not been started as a door yet; commission it first"
    if not any(content):
        return f"the regions hold zeros only: it was not read from a chip; {_READ}"
    ones = int.from_bytes(content, "little").bit_count() / (8 * len(content))
    # Of half a megabyte of cipher text half of the bits are ones, within a thousandth.
    if 0.49 < ones < 0.51 and len(set(content)) == 256:
        return (
            "the regions hold noise: this is an encrypted dump, or no flash image at all. Decrypt it first (espsecure"
            " decrypt-flash-data), or look whether it is the right file"
        )
    return f"no sector carries a mark of menwei, so it is no door's flash image, or of another board (--board); {_READ}"


def read_image(path: Path) -> bytes:
    """The bytes of a file; ImageError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}") from error

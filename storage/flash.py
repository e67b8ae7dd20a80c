"""A raw flash region: byte addresses, erase per sector, and the mark of a sector that was erased to the end.

    flash = Flash(esp32.Partition.find(label="journal")[0])
    flash.erase(3)
    flash.mark_clean(3, 1)
    flash.program(3 * 4096 + 32, record)

A driver's OSError goes through to the caller. The clean mark is in docs/flash-formats.md.
"""

from micropython import const

from storage.mac import seal, sealed
from storage.record import get30, put30

SECTOR = const(4096)

_BLOCK_COUNT = const(4)  # ioctl numbers of vfs.AbstractBlockDev
_BLOCK_SIZE = const(5)
_BLOCK_ERASE = const(6)
_EIO = const(5)
_EINVAL = const(22)
_MARK = const(0xE5)


class Flash:
    """The block device of a partition, without an erase before each write."""

    def __init__(self, partition):
        if partition.ioctl(_BLOCK_SIZE, 0) != SECTOR:
            raise OSError(_EINVAL, "flash region: sectors must be 4096 bytes, use a raw data partition")
        self._partition = partition
        self.sectors = partition.ioctl(_BLOCK_COUNT, 0)

    def read(self, address, buf):
        """Fill buf from address on."""
        self._partition.readblocks(address >> 12, buf, address & 4095)

    def program(self, address, buf):
        """Clear the bits that are zero in buf; one program."""
        self._partition.writeblocks(address >> 12, buf, address & 4095)

    def erase(self, sector):
        """Set a whole sector to ones; the CPU stalls for 45 ms and more."""
        if self._partition.ioctl(_BLOCK_ERASE, sector):
            raise OSError(_EIO, "flash region: erase failed, the sector may be worn out")

    def mark_clean(self, sector, count):
        """Say that this sector was erased to the end, for the count-th time."""
        mark = bytearray(8)
        mark[0] = _MARK
        put30(mark, 1, count)
        seal(b"menwei clean", mark, 0, 4, 4)
        self.program(sector << 12, mark)

    def clean_count(self, buf):
        """How often the sector whose first bytes stand in buf was erased; -1 without a valid mark."""
        if buf[0] != _MARK or not sealed(b"menwei clean", buf, 0, 4, 4):
            return -1
        return get30(buf, 1) & 0xFFFFFF

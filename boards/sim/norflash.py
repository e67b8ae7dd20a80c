"""NOR flash in a file: erase sets ones, programming only clears them, power may go at any moment.

    flash = NorFlash("flash.bin", 4 << 20)
    cards = Region(flash, 0x200000, 0x80000)  # the block device of esp32.Partition
    cards.writeblocks(0, b"\\x0f", 8)  # programs without erasing
    flash.fail_at(3, "random", 1)  # power is lost inside the third program or erase from now

Cut modes of `fail_at`. The chip programs page after page, so of a program over several pages only one is ever torn.

    prefix      a program ends somewhere, inside a byte too
    random      a random subset of the bits that should clear did clear
    half        erase: a random subset of the zeros became ones
    preprogram  erase: NOR chips first program a sector to zeros; a random subset of the ones became zeros
    none, all   nothing was done; all was done, then power went

Of a program `half` and `preprogram` mean `random`; of an erase `prefix` and `random` mean `half`. How many bits
"a subset" is varies with the seed from nearly none to nearly all.
"""

from array import array
from hashlib import sha256

from micropython import const

from boards.sim import clock

SECTOR_SIZE = 4096
_SECTOR = const(4096)
_PAGE = const(256)
_ENOENT = const(2)
_EIO = const(5)
_EINVAL = const(22)

# Typical figures of a W25Q32JV (datasheet 9.6: page program 0.4-0.7 ms, sector erase 45 ms) behind ESP-IDF's driver.
_READ_CALL_US = const(20)
_READ_BYTES_PER_US = const(10)
_PROGRAM_PAGE_US = const(700)
_ERASE_US = const(45000)

_ONES = b"\xff" * _PAGE


class PowerCut(BaseException):
    """Power is gone; the code under test must not be able to catch this as an error."""


class NorFlash:
    """One flash chip; the image is only in the file."""

    def __init__(self, path, size, create=True):
        if size <= 0 or size % _SECTOR:
            raise ValueError("flash size must be a multiple of 4096")
        try:
            self._file = open(path, "r+b")
        except OSError as error:
            if not create or error.errno != _ENOENT:
                raise
            with open(path, "wb") as new:
                for _ in range(size // _PAGE):
                    new.write(_ONES)
            self._file = open(path, "r+b")
        if self._file.seek(0, 2) != size:
            self._file.close()
            raise ValueError("flash file has another size: remove it or name the right size")
        self.size = size
        self.erase_counts = array("H", bytes(2 * (size // _SECTOR)))  # since this object was made
        self._old = bytearray(_ONES)  # all ones between calls
        self._bad = set()
        self._io = {}  # kind: operations until the failing one
        self.starts = 0  # how often power came
        self.power_on()
        self.reset_counters()

    def reset_counters(self):
        """Start the counters again; `erase_counts` go on."""
        self.reads = self.programs = self.erases = self.bytes_read = self.bytes_programmed = 0

    def close(self):
        """Close the file."""
        self._file.close()

    # --- failures ---

    def fail_at(self, n, how, rng_seed=0):
        """Lose power in the n-th program or erase from now (1 = the next one)."""
        if how not in ("prefix", "random", "half", "preprogram", "none", "all"):
            raise ValueError("unknown kind of power cut")
        self._cut_in = n
        self._how = how
        self._noise = sha256(b"norflash %d" % rng_seed).digest()

    def fail_io(self, kind, n=1):
        """The n-th 'program' or 'erase' from now fails once with EIO and changes nothing."""
        if kind not in ("program", "erase"):
            raise ValueError("kind must be program or erase")
        self._io[kind] = n

    def bad_sector(self, sector_no, bad=True):
        """Programs and erases of this sector fail with EIO from now on."""
        if bad:
            self._bad.add(sector_no)
        else:
            self._bad.discard(sector_no)

    def power_off(self):
        """Power goes between two operations: each one raises PowerCut from now on."""
        self._off = True

    def power_on(self):
        """Power is back; a cut that was planned and did not come is forgotten."""
        self._off = False
        self.starts += 1
        self._cut_in = 0  # 0: none planned

    # --- the chip ---

    def read(self, addr, buf):
        """Fill `buf` from `addr` on."""
        length = len(buf)
        if self._off:
            raise PowerCut()
        if addr < 0 or addr + length > self.size:
            raise OSError(_EINVAL)
        self.reads += 1
        self.bytes_read += length
        file = self._file
        file.seek(addr)
        file.readinto(buf)
        clock.charge_us(_READ_CALL_US + length // _READ_BYTES_PER_US)

    def program(self, addr, buf):
        """Clear the bits that are zero in `buf`."""
        length = len(buf)
        self._check(addr, length)
        self.programs += 1
        self.bytes_programmed += length
        if self._begin("program", addr, length):
            if self._how != "none":
                self._clear(addr, self._weaker(addr, buf))
            raise PowerCut()
        self._clear(addr, buf)
        if length:
            clock.charge_us(_PROGRAM_PAGE_US * (((addr + length - 1) >> 8) - (addr >> 8) + 1))

    def erase(self, sector_no):
        """Set 4096 bytes to ones."""
        addr = sector_no * _SECTOR
        self._check(addr, _SECTOR)
        self.erases += 1
        self.erase_counts[sector_no] += 1
        cut = self._begin("erase", addr, _SECTOR)
        if cut and self._how != "all":
            if self._how != "none":
                self._half(addr)
            raise PowerCut()
        file = self._file
        file.seek(addr)
        for _ in range(_SECTOR // _PAGE):
            file.write(_ONES)
        if cut:
            raise PowerCut()
        clock.charge_us(_ERASE_US)

    # --- inside ---

    def _check(self, addr, length):
        if self._off:
            raise PowerCut()
        if addr < 0 or addr + length > self.size:
            raise OSError(_EINVAL)

    def _begin(self, kind, addr, length):
        """Count this operation; True if power goes in it, OSError if it fails."""
        if self._cut_in:
            self._cut_in -= 1
            if not self._cut_in:
                self._off = True
                return True
        if self._io:
            left = self._io.get(kind, 0)
            if left > 1:
                self._io[kind] = left - 1
            elif left:
                del self._io[kind]
                raise OSError(_EIO)
        if self._bad:
            for sector_no in range(addr // _SECTOR, (addr + length - 1) // _SECTOR + 1):
                if sector_no in self._bad:
                    raise OSError(_EIO)
        return False

    def _clear(self, addr, buf):
        """new = old & buf. Allocates nothing where the flash is blank, as for every fresh record."""
        file = self._file
        old = self._old
        at = 0
        left = len(buf)
        while left:
            count = min(left, _PAGE)
            file.seek(addr + at)
            file.readinto(old, count)
            file.seek(addr + at)
            if old == _ONES:
                file.write(buf, at, count)
            elif count <= 8:
                for i in range(count):
                    old[i] &= buf[at + i]
                file.write(old, count)
                old[:] = _ONES
            else:
                new = int.from_bytes(memoryview(buf)[at : at + count], "little")
                new &= int.from_bytes(memoryview(old)[:count], "little")
                file.write(new.to_bytes(count, "little"))
                old[:] = _ONES
            at += count
            left -= count

    def _weaker(self, addr, buf):
        """The pattern of a torn program: `buf` with ones where its zeros did not arrive."""
        torn = bytearray(buf)
        length = len(torn)
        if self._how == "all" or not length:
            return torn
        if self._how == "prefix":
            bits = self._below(8 * length)
            end = (bits >> 3) + 1
            torn[end - 1] |= 0xFF << (bits & 7) & 0xFF
        else:
            first_page = addr // _PAGE
            page = first_page + self._below((addr + length - 1) // _PAGE - first_page + 1)
            start = max(0, page * _PAGE - addr)
            end = min(length, (page + 1) * _PAGE - addr)
            density = self._below(4)
            for i in range(start, end):
                if not (i - start) & 31:
                    keep = self._mask(density)
                torn[i] |= keep[(i - start) & 31]
        for i in range(end, length):
            torn[i] = 0xFF
        return torn

    def _half(self, addr):
        old = self._old
        density = self._below(4)
        for at in range(addr, addr + _SECTOR, _PAGE):
            self._file.seek(at)
            self._file.readinto(old)
            for i in range(_PAGE):
                if not i & 31:
                    mask = self._mask(density)
                if self._how == "preprogram":
                    old[i] &= mask[i & 31]
                else:
                    old[i] |= mask[i & 31]
            self._file.seek(at)
            self._file.write(old)
        old[:] = _ONES

    def _next_noise(self):
        self._noise = sha256(self._noise).digest()
        return int.from_bytes(self._noise, "little")

    def _below(self, limit):
        return (self._next_noise() & 0xFFFFFF) % limit

    def _mask(self, density):
        """32 random bytes; a bit is set with probability 1/2, 1/8, 7/8 or 63/64."""
        mask = self._next_noise()
        for _ in range((0, 2, 2, 5)[density]):
            if density == 1:
                mask &= self._next_noise()
            else:
                mask |= self._next_noise()
        return mask.to_bytes(32, "little")


class Region:
    """A part of the flash as the block device that esp32.Partition is."""

    def __init__(self, flash, offset, size):
        if offset % _SECTOR or size % _SECTOR or offset < 0 or offset + size > flash.size:
            raise ValueError("region must be whole sectors inside the flash")
        self.flash = flash
        self.offset = offset
        self.size = size

    def _at(self, block, off, length):
        at = block * _SECTOR + off
        if block < 0 or off < 0 or at + length > self.size:
            raise OSError(_EINVAL)
        return self.offset + at

    def readblocks(self, block, buf, off=0):
        """Fill `buf` from `off` bytes into the block."""
        self.flash.read(self._at(block, off, len(buf)), buf)

    def writeblocks(self, block, buf, off=None):
        """With `off`: program only. Without: erase the blocks, then program, as the ESP32 port does."""
        length = len(buf)
        if off is not None:
            self.flash.program(self._at(block, off, length), buf)
            return
        addr = self._at(block, 0, length)
        if length % _SECTOR:  # esp_partition_erase_range takes whole sectors only
            raise OSError(_EINVAL)
        for sector_no in range(addr // _SECTOR, (addr + length) // _SECTOR):
            self.flash.erase(sector_no)
        self.flash.program(addr, buf)

    def ioctl(self, op, arg=0):
        """Number (4) and size (5) of blocks, erase one (6); numbers of vfs.AbstractBlockDev."""
        if op == 4:
            return self.size // _SECTOR
        if op == 5:
            return _SECTOR
        if op == 6:
            self.flash.erase(self._at(arg, 0, _SECTOR) // _SECTOR)
        if op in (1, 2, 3, 6):
            return 0
        return None

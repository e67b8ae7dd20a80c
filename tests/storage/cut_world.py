"""Power cuts without running a workload again for each: its flash operations are logged, then cut one by one.

    flash = RamFlash(image)
    flash.begin()
    flash.context = 7                 # whatever tells the oracle where the workload was
    ...                               # the workload
    for cut in cuts(image, flash.log, noise=1):
        flash.load(cut.image)         # reboot, and look

The image that a cut leaves is made by the simulated chip itself (`fail_at`), from the image before the operation.
"""

import io

from boards.sim import norflash
from boards.sim.norflash import NorFlash, PowerCut

SECTOR = 4096
TORN_PROGRAM = ("prefix", "random")  # the others mean one of these, or leave nothing torn
TORN_ERASE = ("half", "preprogram")


class RamFlash(NorFlash):
    """The simulated chip with its image in RAM and a log of programs and erases."""

    def __init__(self, image):
        norflash.open = lambda path, mode: io.BytesIO(image)  # where the chip opens its file
        super().__init__("", len(image))
        self.log = None
        self.context = None

    def image(self):
        return self._file.getvalue()

    def load(self, image):
        """Another image, and the power is back."""
        self._file.seek(0)
        self._file.write(image)
        self.log = None
        self.power_on()

    def begin(self):
        """Log from now on."""
        self.log = []

    def program(self, addr, buf):
        if self.log is not None:
            self.log.append((addr, bytes(buf), self.context))
        super().program(addr, buf)

    def erase(self, sector_no):
        if self.log is not None:
            self.log.append((sector_no, None, self.context))
        super().erase(sector_no)

    def again(self, at, data):
        """Do an operation of a log."""
        if data is None:
            NorFlash.erase(self, at)
        else:
            NorFlash.program(self, at, data)


class Cut:
    """One way in which power went in one operation: its number, how, the seed of the noise, context, image left."""

    def __init__(self, number, how, seed, context, image):
        self.number = number
        self.how = how
        self.seed = seed
        self.context = context
        self.image = image

    def where(self):
        return {"operation": self.number, "how": self.how, "noise": self.seed, "step": self.context}


def explore(image, log, workload, verify, answer):
    """Cut everywhere in a log, and now and then once more in what recovery does.

    Args:
        image: before the first operation.
        workload: `noise`, `tears` and `second`: every so many cuts power goes twice.
        verify: function (context, image, number) that starts on an image, checks, and returns the log of recovery, the
            image it began with and a function (context, image) that checks after the second cut.
        answer: dict that is kept up to date: `points`, `second`, where the current cut is.
    """
    for cut in cuts(image, log, workload["noise"], workload["tears"]):
        answer["cut"] = cut.where()
        recovery, start, verify_again = verify(cut.context, cut.image, cut.number)
        answer["points"] += 1
        if recovery and answer["points"] % workload["second"] == 0:
            pick = workload["noise"] + answer["points"]
            number = pick % len(recovery)
            hows = (TORN_PROGRAM, TORN_ERASE)[recovery[number][1] is None] + ("all",)
            for again in cuts(start, recovery, pick, 1, (1 + number, hows[pick // 7 % 3])):
                answer["again"] = again.where()
                verify_again(again.context, again.image)
                answer["second"] += 1
            answer.pop("again", None)
    answer.pop("cut", None)


def cuts(image, log, noise, tears=2, only=None):
    """Yield a Cut for every operation of a log and each way to lose power in it that leaves another image.

    Args:
        image: before the first operation.
        noise: seed.
        tears: seeds of noise for each torn mode.
        only: number of the operation and how, if one is enough.
    """
    chip = RamFlash(image)
    last = -1  # context of the operation before: that all of it was done is that nothing of the next one was
    for number, (at, data, context) in enumerate(log, 1):
        if only is None or number == only[0]:
            before = chip.image()
            ways = [
                (how, noise + 1000 * number + i)
                for how in (TORN_PROGRAM, TORN_ERASE)[data is None]
                for i in range(tears)
            ]
            ways.append(("all", 0))
            if context != last or only:
                ways.append(("none", 0))
            left = []
            for how, seed in ways:
                if only and how != only[1]:
                    continue
                chip.load(before)
                chip.fail_at(1, how, seed)
                try:
                    chip.again(at, data)
                except PowerCut:
                    pass
                torn = chip.image()
                if torn in left or (torn == before and how != "none"):
                    continue
                left.append(torn)
                yield Cut(number, how, seed, context, torn)
            chip.load(before)
        last = context
        chip.again(at, data)


class Wrong(Exception):
    """Something that must always hold does not."""


def must(true, what, *values):
    if not true:
        raise Wrong(what % values if values else what)

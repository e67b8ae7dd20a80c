"""What the tests of the mechanics share."""

from boards.sim import clock


class Io:
    """Notes what the contacts do, and when."""

    def __init__(self):
        self.log = []
        self.levels = {}

    def set(self, name, level):
        self.log.append((clock.now_us(), name, level))
        self.levels[name] = level

    def times(self, name):
        return [entry[0] for entry in self.log if entry[1] == name]


def pass_ms(count):
    clock.charge_us(count * 1000)

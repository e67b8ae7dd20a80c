"""What must not keep a door from its start; run by test_assembly.py, with room for all that only a start loads."""

from firmware import assembly


class Parts:
    """As much of a door as the link takes."""

    settings = None
    journal = allowlist = None

    def __init__(self):
        self.recorder = self.kept = self.log = self
        self.link = None
        self.errors = []

    def get(self, name):
        return 7

    def error(self, module, text, error):
        self.errors.append((module, error))


class Linked:
    def __init__(self, settings, keys, journal, allowlist, host, root):
        pass


def broken(*arguments):
    raise RuntimeError("Wifi Unknown Error 0x0101")


parts = Parts()
assembly.Link = broken
assembly._connect(parts, None, None)
print(parts.link, parts.errors)
assembly.Link = Linked
assembly._connect(parts, None, None)
print(parts.link.parcel[2])

"""What a door must still know after a power cut, beside list and journal: a few numbers in NVS.

kept = Kept(esp32.NVS("kept"))
kept.set("fire", 1)                 # written only when it changes; True when it is durable
if kept.get("fire"): ...            # 0 if it was never set or cannot be read
"""


class Kept:
    """Named numbers below 2^30; names of up to 15 characters."""

    def __init__(self, nvs):
        self._nvs = nvs

    def get(self, name):
        """Return the number kept under this name."""
        try:
            return self._nvs.get_i32(name)
        except OSError:
            return 0

    def set(self, name, value):
        """Keep a number; False if it could not be written."""
        if value != self.get(name):
            try:
                self._nvs.set_i32(name, value)
                self._nvs.commit()
            except OSError:
                return False
        return True

"""The wires between the door's mechanics and the chip's pins, from the PIN_* numbers of the board.

    door = Door(board.LOCK_FAIL_SAFE)
    wire(door, board, pins)

A contact that is closed pulls its pin to ground, one that is open leaves it to the pull-up on the board; the inputs of
the loads are pulled down, so that a floating pin switches nothing on. A line with resistors at its end is a load of so
many ohms on its pin instead.
"""

INPUTS = ("door_contact", "bolt_contact", "exit", "fire", "tamper", "intercom", "key", "handle")
OUTPUTS = ("relay", "green", "red", "sounder")


def pin_of(board, name):
    """Return the number of a pin by its name in the mechanics, None if it is not fitted."""
    return getattr(board, "PIN_" + name.upper(), None)


def pull(board, pins):
    """Solder the resistors in."""
    for names, level in ((INPUTS, 1), (OUTPUTS, 0)):
        for name in names:
            pin = pin_of(board, name)
            if pin is not None:
                pins.external_pull(pin, level)


class _Contacts:
    def __init__(self, board, pins):
        self._board = board
        self._pins = pins

    def set(self, name, level):
        """A contact closed (0) or opened (1)."""
        pin = pin_of(self._board, name)
        if pin is not None:
            self._pins.unload(pin)
            self._pins.drive(pin, None if level else 0)

    def load(self, name, ohms):
        """The line of a contact with resistors at its end has so many ohms now, None for a cut one."""
        pin = pin_of(self._board, name)
        if pin is not None:
            self._pins.load(pin, ohms)


def wire(door, board, pins):
    """Connect the model to the pins of this process."""
    pull(board, pins)
    door.connect(_Contacts(board, pins))
    for name in OUTPUTS:
        pin = pin_of(board, name)
        if pin is not None:
            pins.on_change(pin, lambda _, level, name=name: door.out(name, level))
            door.out(name, pins.level(pin))

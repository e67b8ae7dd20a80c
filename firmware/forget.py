"""Take out of memory what only a start needs of the modules that stay.

Sources forget nothing. What a door carries has a list here instead, which the build makes (tools/menwei/once.py): most
of it the `__init__` of classes of which a door has one object for as long as it works.
"""


def forget():
    """Called once, when the door is put together."""

"""A simulated door: wires the world, starts the firmware and listens to the control channel (docs/simulator.md).

    micropython -X heapsize=96wK -m boards.sim.start flash=door.img world=door.json control=127.0.0.1:40001 mode=virtual

Tests that only want the simulated clock under asyncio:

    from boards.sim.start import install
    install()  # before anything imports asyncio
"""

import sys

_OPTIONS = ("flash", "world", "control", "mode", "seed", "unix", "door", "quiet")
_EXIT_ENDED = 1  # the firmware returned or raised: on a chip that is the REPL


def install():
    """Put the simulated clock behind `time`, `select`, `_asyncio` and `socket`."""
    if "asyncio" in sys.modules:
        raise RuntimeError("asyncio was imported before the simulated clock")
    from boards.sim import chip_time, polling, sockets, tasks

    sys.modules["time"] = chip_time
    sys.modules["select"] = polling
    sys.modules["socket"] = sockets
    sys.modules["_asyncio"] = tasks


def _address(text):
    host, _, port = text.partition(":")
    return host, int(port)


def _options(words):
    options = {"mode": "virtual", "seed": "0", "quiet": "20"}
    for word in words:
        name, separator, value = word.partition("=")
        if not separator or name not in _OPTIONS:
            raise ValueError("unknown option %s; there are: %s" % (word, " ".join(_OPTIONS)))
        options[name] = value
    for name in ("flash", "world"):
        if name not in options:
            raise ValueError("option %s=FILE is missing" % name)
    if "door" in options and options["mode"] != "real":
        raise ValueError("door=HOST:PORT needs mode=real")
    return options


def _mount(provision_path):
    """Mount the file system, making it at first; put what the installer left on it."""
    import os

    import board
    import esp32

    region = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="vfs")[0]
    try:
        os.mount(os.VfsLfs2(region), board.ROOT)
    except OSError:
        os.VfsLfs2.mkfs(region)
        os.mount(os.VfsLfs2(region), board.ROOT)
    try:
        with open(provision_path) as source, open(board.ROOT + "/provision.json", "w") as target:
            target.write(source.read())
    except OSError as error:
        if error.errno != 2:
            raise
    else:
        os.remove(provision_path)


def _serve(options):
    import random

    install()
    from boards.sim import clock, control, pins, sockets, world
    from boards.sim.norflash import PowerCut

    sockets.quiet_ms = int(options["quiet"])
    seed = int(options["seed"])
    random.seed(seed)
    unix_s = int(options["unix"]) if "unix" in options else None
    kind = world.open_world(options["flash"], options["world"], options["mode"], unix_s, seed, "door" not in options)
    flash = world.flash

    def power():
        if flash._off:  # somebody caught the power cut on its way up
            raise PowerCut

    clock.on_turn = power
    code = _EXIT_ENDED
    try:
        if "door" in options:
            control.wire(*_address(options["door"]))
        if "control" in options:
            control.connect(*_address(options["control"]))
        print("sim: start", kind, "seed", seed)
        control.send("* ready")
        pins.reset(kind)
        _mount(options["flash"] + ".provision")
        try:
            _firmware()
            print("sim: the firmware has returned")
        except Exception as error:
            sys.print_exception(error, sys.stdout)
        if clock.watchdog_us != clock.NEVER:  # a chip is at its prompt now, until the watchdog bites
            control.hang()
        world.save("power_on")
    except clock.Ended as end:
        code = end.code
    except PowerCut:
        code = control.EXIT_POWER_CUT
        world.save("power_on")
    except KeyboardInterrupt:
        code = control.EXIT_QUIT
        world.save("power_on")
    control.send("* exit %d" % code)
    return code


def _firmware():
    try:
        import firmware.boot
    except ImportError:
        pass
    import firmware.main

    firmware.main.run()


if __name__ == "__main__":
    try:
        _chosen = _options(sys.argv[1:])
    except ValueError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    sys.exit(_serve(_chosen))

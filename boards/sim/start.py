"""A simulated door: wires the world, starts the firmware and listens to the control channel (docs/simulator.md).

    micropython -X heapsize=220wK -m boards.sim.start flash=door.img world=door.json control=127.0.0.1:40001

Tests that only want the simulated clock under asyncio:

    from boards.sim.start import install
    install()  # before anything imports asyncio
"""

import sys

_OPTIONS = ("flash", "world", "control", "mode", "seed", "unix", "door", "quiet")


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


def _serve(options):
    import random

    install()
    from boards.sim import clock, control, pins, power, sockets, world
    from boards.sim.norflash import PowerCut

    sockets.quiet_ms = int(options["quiet"])
    seed = int(options["seed"])
    random.seed(seed)
    unix_s = int(options["unix"]) if "unix" in options else None
    kind = power.switch_on(options["flash"], options["world"], options["mode"], unix_s, seed, "door" not in options)
    code = control.EXIT_FAILED  # the firmware returned or raised: a chip would show its prompt
    try:
        if "door" in options:
            control.wire(*_address(options["door"]))
        if "control" in options:
            control.connect(*_address(options["control"]))
        print("sim: start", kind, "seed", seed)
        control.send("* ready")
        pins.reset(kind)
        power.mount(options["flash"] + ".provision")
        power.leave_a_chips_heap()
        del power, sys.modules["boards.sim.power"], sys.modules["boards.sim"].power
        _firmware()
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
    # By name, as the chip's own start-up runs boot.py and main.py: a board knows nothing of what runs on it.
    try:
        try:
            __import__("firmware.boot")
        except ImportError:
            pass  # a board may do without
        __import__("firmware.main")
        sys.modules["firmware.main"].run()
        print("sim: the firmware has returned")
    except Exception as error:
        sys.print_exception(error, sys.stdout)


if __name__ == "__main__":
    # Code comes from MICROPYPATH alone: sources in the current folder would take the room of bytecode and more.
    if "" in sys.path:
        sys.path.remove("")
    for _name in ("boards", "boards.sim"):
        sys.modules.pop(_name, None)
    try:
        _chosen = _options(sys.argv[1:])
    except ValueError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    sys.exit(_serve(_chosen))

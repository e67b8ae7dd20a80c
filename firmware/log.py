"""Technical log on the serial port: `time level area message key=value…`, one line each.

    log = Log(sys.stdout.write, clock)
    log.info("link", "connected", host="10.0.0.2")

No names, no card numbers and no pseudonyms go through here. The time is UTC, or `+seconds` since boot while the
clock stands at its floor.
"""

from firmware import systemclock
from storage import record


class Log:
    """Writes lines with `write(str)`; keeps nothing."""

    def __init__(self, write, clock, uptime):
        """Write to `write(str)`, stamped by `clock` (firmware.clock.Clock) and `uptime` (Uptime)."""
        self.write = write
        self._clock = clock
        self._uptime = uptime

    def info(self, area, message, **values):
        """What happens every day."""
        self._line("info", area, message, values)

    def warning(self, area, message, **values):
        """What somebody should look at some day."""
        self._line("warn", area, message, values)

    def error(self, area, message, **values):
        """What somebody should look at now."""
        self._line("error", area, message, values)

    def _line(self, level, area, message, values):
        if self._clock.trust == record.FLOOR:
            stamp = "+%ds" % self._uptime.seconds
        else:
            stamp = systemclock.stamp(self._clock.now_s)
        line = "%s %-5s %-6s %s" % (stamp, level, area, message)
        for key in sorted(values):
            line += " %s=%s" % (key, values[key])
        self.write(line + "\n")

"""Once an hour: the record of the hour, and the door closer. Loaded when needed, and dropped.

finished = upkeep.take(rate, category, elapsed_ms, now_s)       # what Rate.add did not take
if finished: upkeep.write(finished, recorder, log, rate, kept, 150)
ondemand.drop(upkeep.MODULES)
"""

from firmware import hourly
from storage import hours, record

MODULES = ("firmware.upkeep", "firmware.hourly", "storage.hours")

take = hourly.catch_up
resume = hourly.resume


def write(finished, recorder, log, rate, kept, slow_percent):
    """Record the hours that are over, from what `take` returned; look whether the closer has become slow."""
    rate.closer = hourly.quicker(rate.closings)
    if not slow_percent:
        kept.set("closer", 0)  # it is learnt anew when somebody wants to be warned again
    elif rate.closer:
        if not kept.get("closer"):
            kept.set("closer", rate.closer)  # how quick it is when it is in order
        already = record.ALARM_CLOSER_SLOW in recorder.alarms
        slow = hourly.slow(rate.closer, kept.get("closer"), slow_percent, already)
        (recorder.alarm_on if slow else recorder.alarm_off)(record.ALARM_CLOSER_SLOW, rate.closer)
    for hour, counts in finished:
        counts[hours.CLOSER] = rate.closer
        recorder.note(record.HOUR, 0, None, hour, hours.pack(counts))
        log.info(
            "rate",
            "hour",
            closed=counts[hours.CLOSED],
            open=sum(counts[hours.PROPPED : hours.SECONDS]),
            unknown=counts[hours.UNKNOWN],
        )

"""Run workloads under power cuts; one JSON line in, one JSON line out.

    echo '{"store": "cards", "sectors": 5, "prelude": [...], ...}' | micropython -X heapsize=64m cuts_worker.py

An answer has `operations` (programs and erases of the workload), `points` (ways in which power went) and `second`
(those in which it went twice); after a failure also `failure`, and `cut`, `again` or `bit` say where. The fields of a
workload are in the cut_*_world.py.
"""

import gc
import io
import json
import sys

sys.path.pop(0)  # this folder comes last: no test module may shadow a product module

import cut_cards_world
import cut_journal_world
import cut_parcels_world
import cut_settings_world
import flips_world

RUN = {
    "cards": cut_cards_world.run,
    "journal": cut_journal_world.run,
    "settings": cut_settings_world.run,
    "parcels": cut_parcels_world.run,
    "cards flips": flips_world.flip_cards,
    "journal flips": flips_world.flip_journal,
    "settings flips": cut_settings_world.flips,
}

while True:
    line = sys.stdin.readline()
    if not line:
        break
    answer = {"operations": 0, "points": 0, "second": 0}
    try:
        workload = json.loads(line)
        RUN[workload["store"]](workload, answer)
    except BaseException as error:  # a power cut that goes astray is one
        text = io.StringIO()
        sys.print_exception(error, text)
        answer["failure"] = text.getvalue()
    print(json.dumps(answer))
    gc.collect()

"""Show what doors report as it arrives, and store and acknowledge it: `menwei listen`.

await listen("mqtt://127.0.0.1:1883", Path("upstream.db"), Path("keys.json"), Console())
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from menwei import names
from menwei.cardregister import Register
from menwei.copies import Cards, CopyCheck
from menwei.corrected import corrected
from menwei.epoch import UNIX_2020
from menwei.keyfile import KeyFile
from menwei.pki import Pki
from menwei.public import Public
from menwei.renewal import Renewals, serve
from menwei.store import Event, Finding, Store
from menwei.tls import Credentials, endpoint
from menwei.upstream import Upstream

_ROWS = 24
_FINDINGS = 6
_COLUMNS = ("time", "trust", "door", "seq", "event", "reason", "credential", "detail")
_ALARM = 8
_WORTH_S = 10


def clock_time(event: Event, seconds: int | None = None) -> str:
    """When the door says it happened, or when it really did, UTC."""
    moment = event.time if seconds is None else seconds
    return f"{datetime.fromtimestamp(moment + UNIX_2020, UTC):%Y-%m-%d %H:%M:%S}"


def put_right(events: Iterable[Event]) -> dict[tuple[str, str, int], int]:
    """Times that a later setting of the clock puts right by more than `_WORTH_S`, by door, epoch and sequence."""
    journals: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        journals.setdefault((event.door, event.epoch), []).append(event)
    return {
        (*journal, moment.record.seq): moment.time
        for journal, records in journals.items()
        for moment in corrected(records)
        if moment.changed and abs(moment.time - moment.record.time) > _WORTH_S
    }


def cells(event: Event, people: Mapping[str, str] | None = None) -> list[str]:
    """One event as a row for people; a pseudonym stays one unless `people` knows it."""
    who = "" if not event.pseudonym.strip("0") else (people or {}).get(event.pseudonym, event.pseudonym)
    trust = names.trust(event.trust)
    reason = names.reason(event.kind, event.reason)
    detail = names.detail(event.kind, event.reason, event.detail)
    return [clock_time(event), trust, event.door, str(event.seq), names.kind(event.kind), reason, who, detail]


def event_table(events: deque[Event], people: Mapping[str, str] | None = None) -> Table:
    """The latest events as a table; ≈ stands before a time that a later setting of the clock put right."""
    table = Table(expand=True)
    for name in _COLUMNS:
        table.add_column(name, no_wrap=True)
    right = put_right(events)
    for event in events:
        row = cells(event, people)
        seconds = right.get((event.door, event.epoch, event.seq))
        if seconds is not None:
            row[0] = f"≈ {clock_time(event, seconds)}"
        table.add_row(*row, style="red" if event.kind == _ALARM else None)
    return table


def _written(register: Path | None) -> list[tuple[str, bytes]]:
    """(kind, UID) of the cards of the office's register."""
    if register is None:
        return []
    if not register.exists():
        raise ValueError(f"{register} is not there: name the card office's register")
    with Register(register) as cards:
        return [(row.kind, bytes.fromhex(row.uid)) for row in cards.rows()]


async def listen(
    broker: str,
    database: Path,
    key_path: Path,
    console: Console,
    stop: asyncio.Event | None = None,
    register: Path | None = None,
    tls: Credentials | None = None,
    renew: Path | None = None,
    public: bool = False,
    home_assistant: bool = False,
) -> None:
    """Serve until `stop` is set; without a terminal each event is one printed line.

    With `renew`, a folder of `menwei pki` with the CA's key, doors get new certificates before theirs end. With
    `public` others may read the doors' states (docs/public.md); without, what an earlier run published is removed.

    With the card office's `register` a card is known at all doors, so that copies show from door to door.
    """
    host, port, context = endpoint(broker, tls)
    keys = KeyFile.load(key_path)
    authority = Pki(renew) if renew else None
    store = Store(database)
    stop = stop or asyncio.Event()
    recent: deque[Event] = deque(store.events()[-_ROWS:], maxlen=_ROWS)
    findings: deque[str] = deque(
        (f"{door}: {kind}: {text}" for door, kind, text in store.findings()[-_FINDINGS:]), maxlen=_FINDINGS
    )

    def screen() -> Group:
        return Group(event_table(recent), *(Text(line, style="bold red") for line in findings))

    live = Live(screen(), console=console, refresh_per_second=4) if console.is_terminal else None

    def show(event: Event) -> None:
        recent.append(event)
        if live:
            live.update(screen())
        else:
            console.print("  ".join(cells(event)), highlight=False, soft_wrap=True)

    def show_early(event: Event) -> None:
        say("early, the records before it follow: " + "  ".join(cells(event)))

    def show_apart(event: Event) -> None:
        say("kept apart: " + "  ".join(cells(event)))

    def show_finding(door: str, finding: Finding) -> None:
        say(f"{door}: {finding.kind}: {finding.text}")

    def say(line: str) -> None:
        findings.append(line)
        if live:
            live.update(screen())
        else:
            console.print(line, style="bold red", markup=False, highlight=False, soft_wrap=True)

    options = {"tls_context": context}
    others = Public(host, port, keys, store, enabled=public, home_assistant=home_assistant, options=options)
    upstream = Upstream(
        host,
        port,
        keys,
        store,
        on_event=show,
        on_apart=show_apart,
        on_early=show_early,
        on_finding=show_finding,
        copies=CopyCheck(store, Cards(keys, _written(register))),
        tls=context,
        on_change=others.changed,
    )
    renewing = None
    try:
        await upstream.start()
        if authority:
            renewals = Renewals(authority, keys, lambda door, text: say(f"{door}: {text}"))
            renewing = asyncio.create_task(serve(renewals, keys.site, host, port, context))
        await others.start()
        console.print(f"listening at {broker} for {', '.join(keys.doors)}; events go to {database}", highlight=False)
        if live:
            with live:
                await stop.wait()
        else:
            await stop.wait()
    finally:
        if renewing:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
        await others.stop()
        await upstream.stop()
        store.close()

"""The result of `menwei.inspect_image` for people: a few tables, findings last, where the eye ends.

show(inspect(data, options), Console())
"""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

_NOTHING = "–"
_MOST_FINDINGS = 40
_TITLES = {"cards": "Allowlist", "journal": "Journal"}


def show(told: dict, console: Console) -> None:
    """Print everything."""
    if "cards" in told:
        _cards(told["cards"], told["date"], console)
    if "journal" in told:
        _journal(told["journal"], console)
    _findings(told, console)


def _table(title: str, *columns: str, right: int = 1) -> Table:
    """A table whose columns from the `right`-th on are numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", show_header=any(columns))
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place >= right else "left")
    return table


def _number(value: int | float | None) -> str:
    return _NOTHING if value is None else f"{value:,}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else _NOTHING


def _region(told: dict) -> str:
    return f"at {told['offset']:#x}, {told['size'] // 1024:,} KB"


def _wear(erases: dict | None) -> str:
    if erases is None:
        return "not known"
    return (
        f"{erases['least']:,} to {erases['most']:,}, mean {erases['mean']:,} (most: sector {erases['most_in_sector']})"
    )


def _cards(cards: dict, date: str, console: Console) -> None:
    table = _table(f"Allowlist, {_region(cards)}", "", "", right=9)
    rows = [
        ("live, suspended, revoked", " / ".join(_number(cards[name]) for name in ("live", "suspended", "revoked"))),
        ("superseded, torn entries", f"{_number(cards['superseded'])} / {_number(cards['torn'])}"),
        ("cards with a use counter", _number(cards["use_counters"])),
        (
            "slots used of capacity",
            f"{cards['slots_used']:,} of {cards['slots']:,} ({_percent(cards['slots_used'], cards['slots'])})",
        ),
        ("office epoch, revision", f"{cards['office_epoch']} / {_number(cards['revision'])}"),
        ("digest of live cards", cards["digest_live"]),
        ("digest of tombstones", cards["digest_tombstones"]),
        (
            "sectors used, erased, to erase",
            f"{cards['sectors_in_use']} / {cards['sectors_erased']} / {cards['sectors_to_erase']}",
        ),
        ("sector generations", f"{_number(cards['generation_least'])} to {_number(cards['generation_most'])}"),
        ("triples that disagree", _number(cards["disagreeing_bits"])),
        ("erases per sector", _wear(cards["erases"])),
    ]
    if under_way := cards["reconciling"]:
        text = f"to {under_way['office_epoch']} / {under_way['revision']:,}, {under_way['percent']} % done"
        rows.insert(5, ("reconciliation under way", text))
    for row in rows:
        table.add_row(*row)
    console.print(table)
    if cards["groups"]:
        day = date.partition("T")[0]
        table = _table("Groups in use", "group", "live", f"past {day}", "no end", "suspended", "revoked", right=0)
        for group, counts in cards["groups"].items():
            table.add_row(
                group, *(_number(counts[name]) for name in ("live", "past", "no_end", "suspended", "revoked"))
            )
        console.print(table)


def _moment(moment: dict | None) -> str:
    if moment is None:
        return _NOTHING
    within = "" if moment["within_s"] is None else f" ±{moment['within_s']:,} s"
    return f"{moment['time'].replace('T', ' ').rstrip('Z')} UTC, {moment['trust']}{within}"


def _journal(journal: dict, console: Console) -> None:
    if journal["epoch"] is None:
        return
    verified = journal["verified"]
    table = _table(f"Journal, {_region(journal)}", "", "", right=9)
    waiting = journal["last"] - journal["acknowledged"]
    rows = [
        ("epoch", journal["epoch"]),
        ("sequence, first to last", f"{journal['first']:,} to {journal['last']:,}"),
        ("acknowledged, as saved, up to", f"{journal['acknowledged']:,} (not yet: {waiting:,})"),
        ("first record", _moment(journal["time"]["first"])),
        ("last record", _moment(journal["time"]["last"])),
        ("trust in their times", ", ".join(f"{name} {count:,}" for name, count in journal["time"]["trust"].items())),
        (
            "times that a later setting puts right, not known",
            f"{journal['time']['put_right']:,} / {journal['time']['not_known']:,}",
        ),
        ("starts recorded, boot number", f"{journal['boots']:,} / {_number(journal['boot_number'])}"),
        ("torn slots", _number(journal["torn_slots"])),
        ("key generation", _number(journal["key_generation"])),
        ("key slots not wiped", _number(len(journal["live_key_slots"])) + " (1 is in use)"),
        (
            "sectors used, erased, retired",
            f"{journal['sectors_in_use']} / {journal['sectors_erased']} / {journal['sectors_retired']}",
        ),
        ("erases per sector", _wear(journal["erases"])),
    ]
    for row in rows:
        table.add_row(*row)
    table.add_section()
    table.add_row("seals checked with", verified["with"])
    table.add_row("right, not checked", f"{verified['right']:,} / {verified['unchecked']:,}")
    if verified["behind_a_gap"]:
        table.add_row("cannot be told, behind a gap", _number(verified["behind_a_gap"]))
    if verified["unchecked"] and verified["first_right"] is not None:
        table.add_row("checked from sequence", _number(verified["first_right"]))
    console.print(table)
    if journal["kinds"]:
        table = _table("Records by kind", "kind", "records")
        for kind, count in journal["kinds"].items():
            table.add_row(kind.replace("_", " "), _number(count))
        console.print(table)
    if journal["credentials"]:
        columns = ("kind", "let in", "refused", "alarms", "counter not moved", "key versions let in")
        table = _table("Cards shown", *columns)
        for kind, counts in journal["credentials"].items():
            numbers = [_number(counts[name]) for name in ("granted", "refused", "alarm")]
            worn = _number(counts["not_counted"]) if kind == "classic" else _NOTHING
            versions = ", ".join(f"{name}: {count:,}" for name, count in sorted(counts["versions"].items()))
            table.add_row(kind + (" (weak)" if kind == "uid" else ""), *numbers, worn, versions or _NOTHING)
        console.print(table)
    if journal["gaps"]:
        table = _table("Gaps", "sequence", "what", "records", "from", "to", "low / mid / high class", right=2)
        for gap in journal["gaps"]:
            numbers = [_number(gap[name]) for name in ("records", "first", "last")]
            classes = " / ".join(f"{count:,}" for count in gap["by_class"])
            table.add_row(_number(gap["seq"]), gap["reason"].replace("_", " "), *numbers, classes)
        console.print(table)


def _findings(told: dict, console: Console) -> None:
    findings = told["findings"]
    if findings:
        table = _table("Findings", "", "what", "sector", "slot", "sequence", "what it means", right=9)
        for finding in findings[:_MOST_FINDINGS]:
            numbers = _NOTHING
            if finding["first"] is not None:
                numbers = str(finding["first"])
                numbers += f"–{finding['last']}" if finding["last"] != finding["first"] else ""
            place = [_NOTHING if finding[name] is None else str(finding[name]) for name in ("sector", "slot")]
            mark = "[bold red]wrong[/]" if finding["wrong"] else "note"
            what = f"{_TITLES[finding['region']].lower()}: {finding['what']}"
            table.add_row(mark, what, *place, numbers, finding["text"])
        console.print(table)
        if len(findings) > _MOST_FINDINGS:
            console.print(f"… and {len(findings) - _MOST_FINDINGS} more; --json lists them all", highlight=False)
    notes = len(findings) - told["wrong"]
    said = f", {notes} note{'s' if notes > 1 else ''} on what power cuts left behind" if notes else ""
    if told["wrong"]:
        said = f"[bold red]{told['wrong']} wrong[/]{said}; docs/image.md says what each finding means"
    else:
        said = f"[green]nothing is wrong[/]{said}"
    console.print(said, highlight=False)
    if unchecked := told.get("journal", {}).get("verified", {}).get("unchecked"):
        console.print(f"not checked: the seals of {unchecked:,} records; that takes --keys KEYFILE", highlight=False)

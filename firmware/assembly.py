"""Put a door together from its board. Needed once at start, and dropped from memory afterwards by firmware.main.

    service = assembly.build()

Order matters: lock pin first (it stays locked), then flash, then everything else. Nothing here waits for a network.
"""

import os
import sys

import board
import esp32
import machine

from drivers.contacts import Contact
from drivers.credential import CLASSIC
from drivers.health import Health
from drivers.iso14443a import Iso14443a
from drivers.lock import Lock
from drivers.mfrc522 import Mfrc522
from drivers.signals import Player
from firmware import clockstart, config
from firmware.clock import Uptime
from firmware.door import Door
from firmware.forget import forget
from firmware.kept import Kept
from firmware.log import Log
from firmware.passage import Passage
from firmware.reader import of_kind
from firmware.recorder import Recorder
from firmware.service import Service
from storage import record
from storage.allowlist import Allowlist
from storage.flash import Flash
from storage.journal import Journal
from storage.keys import Keys
from storage.settings import Settings
from sync.link import Link

_ENOENT = 2
_WATCHDOG_MS = 20_000
# Contacts that count as active while their wires are at fault: nobody may be kept in, nobody may cut a loop unseen.
_SURE = ("fire", "tamper")


class Parts:
    """What Service takes."""


def _partition(label):
    found = esp32.Partition.find(esp32.Partition.TYPE_DATA, label=label)
    if not found:
        raise OSError(19, "no flash partition %s: write the board's partition table" % label)
    return Flash(found[0])


def _contacts(parts):
    """The contacts that are fitted; those with end-of-line resistors sit on pins of the ADC that works beside Wi-Fi."""
    settings = parts.settings
    contacts = parts.contacts = {}
    watched = {}
    for name, number, active in board.CONTACTS:
        if name not in settings["contacts"]:
            continue
        pin = machine.Pin(number, machine.Pin.IN)
        if name in settings["supervised"] and number in board.PINS_ADC1:
            from drivers.supervised import Supervised

            adc = machine.ADC(pin, atten=machine.ADC.ATTN_11DB)
            contacts[name] = watched[config.CONTACTS.index(name) + 1] = Supervised(adc, active, name in _SURE)
        else:
            contacts[name] = Contact(pin, active)
    parts.lines = None
    if watched:
        from firmware.lines import Lines

        parts.lines = Lines(watched, parts.recorder)
    if len(watched) < len(settings["supervised"]):
        parts.log.error("boot", "this board cannot supervise all of", contacts=settings["supervised"])


def _provision(parts, keys, store, journal, allowlist):
    """Take what the installer left, then what came as a parcel: a bad file must not keep a door from starting.

    parts.refusal becomes None, or why the installer's file was not taken; parts.parcel None, or what is to be recorded.
    """
    parts.refusal = parts.parcel = None
    for name in ("/provision.json", "/provision.parcel"):
        try:
            os.stat(board.ROOT + name)
        except OSError:
            continue
        from firmware import provision

        try:
            if name == provision.FILE:
                provision.apply(board.ROOT, keys, store, journal, allowlist)
            else:
                parts.parcel = provision.take_parcel(board.ROOT, keys, store)
        except Exception as error:  # whatever stands in the file, even what nobody thought of
            parts.refusal = error


def _record_parcel(parts):
    """Only now is there a journal that can tell of it."""
    from firmware import provision

    reason, number, error = parts.parcel
    parts.recorder.note(record.CHANGED, reason, None, number)
    if error:
        parts.log.error("parcel", "is refused, nothing of it was taken", number=number, error=error)
    try:
        provision.finish(board.ROOT, parts.kept, number)
    except OSError as failure:
        parts.log.error("parcel", "cannot be removed, and is taken again", error=failure)


def _connect(parts, keys, service):
    """Prepare the link. A radio for which there is no memory (RuntimeError 0x0101) must keep no resident out."""
    from sync import parcels

    try:
        link = Link(parts.settings, keys, parts.journal, parts.allowlist, service, board.ROOT)
        parcels.resume(link, board.ROOT, parts.kept.get("parcel"))
        parts.recorder.link = link
    except Exception as error:
        parts.log.error("link", "cannot be set up, the door serves without it until it restarts", error=repr(error))


def _on_trial(service):
    """Watch over settings that are on trial."""
    try:
        os.stat(board.ROOT + "/provision.before")
    except OSError:
        return
    from firmware import trial

    trial.begin(service)


def _mounted(journal):
    """Return the journal, or what stands for it when its flash cannot be read: residents must get in all the same."""
    try:
        journal.mount()
    except OSError as error:
        if error.errno != _ENOENT:
            from firmware.nojournal import NoJournal

            return NoJournal(error)
        # A board that was never provisioned: it records for whoever provisions it, under a key that nobody knows.
        journal.format(os.urandom(4), os.urandom(16))
        journal.mount()
    return journal


def _chip(settings):
    spi = machine.SPI(
        board.SPI_ID,
        baudrate=board.SPI_BAUD,
        sck=machine.Pin(board.PIN_SCK),
        mosi=machine.Pin(board.PIN_MOSI),
        miso=machine.Pin(board.PIN_MISO),
    )
    power = board.PIN_READER_POWER
    return Mfrc522(
        spi,
        machine.Pin(board.PIN_READER_CS, machine.Pin.OUT, value=1),
        machine.Pin(board.PIN_READER_RST, machine.Pin.OUT, value=0),
        settings["reader_gain_db"],
        settings["reader_spi_khz"] * 1000,
        None if power is None else machine.Pin(power, machine.Pin.OUT, value=1),
    )


def _read_cards(parts, keys, chip):
    """The reader, and what lets cards prove themselves: only the kinds that this door takes are loaded."""
    settings = parts.settings
    kinds = [kind for kind in config.masks(settings)[0] if of_kind(keys.card_keys, kind)]
    cards = parts.cards = Iso14443a(chip, board.READER_POLL_MS, bool(kinds))
    parts.health = Health(cards)
    provers = parts.provers = {}
    for kind in kinds:
        known = of_kind(keys.card_keys, kind)
        if kind == CLASSIC:
            from drivers.classic import Classic

            provers[kind] = Classic(cards, known)
        else:
            from drivers.ev2 import Ev2

            provers[kind] = Ev2(chip, known, kind)
    parts.copies = None
    if CLASSIC in provers and isinstance(parts.journal, Journal):
        from storage.copywatch import CopyWatch

        parts.copies = CopyWatch(parts.journal)


def build():
    """Return a Service for this board, or what stands for it at a desk: both have `run`."""
    # Locked before anything else; docs/architecture.md, "The way out is hardware".
    lock = Lock(machine.Pin(board.PIN_RELAY, machine.Pin.OUT, value=0))
    parts = Parts()
    parts.lock = lock
    parts.kept = Kept(esp32.NVS("kept"))
    if parts.kept.get("fire"):
        lock.release()  # nobody has reset it at the door: released before anything that takes time
    parts.reset_cause = machine.reset_cause()
    keys = Keys(esp32.NVS("menwei"), board.ROOT)
    parts.memory = machine.RTC().memory
    store = Settings(board.ROOT)
    journal = parts.journal = Journal(_partition("journal"))
    allowlist = parts.allowlist = Allowlist(_partition("cards"))
    _provision(parts, keys, store, journal, allowlist)
    keys.load()
    settings = parts.settings = store.load(config.DEFAULTS, config.validate)
    if store.torn and store.source != "defaults":
        try:
            store.save(settings)  # two copies again
        except OSError:
            pass  # one copy is enough to start; the next start tries again
    # From here on a start that does not get through is tried again. Provisioning erases for longer than this.
    parts.watchdog = machine.WDT(timeout=_WATCHDOG_MS)
    chip = _chip(settings)
    if settings["desk"]:
        from firmware.desk import Station

        return Station(chip, board.BOARD, parts.watchdog)
    journal = parts.journal = _mounted(journal)
    allowlist.mount()
    uptime = parts.uptime = Uptime()
    clock, no_chip = clockstart.start(journal, settings, uptime, parts.kept, parts.reset_cause)
    parts.clock = clock
    log = parts.log = Log(sys.stdout.write, clock, uptime)
    recorder = parts.recorder = Recorder(journal, clock, log)
    if parts.parcel:
        _record_parcel(parts)
    door = parts.door = Door(
        settings["held_warn_s"], settings["held_alarm_s"], settings["forced_alarm"], settings["exit_stuck_s"]
    )
    # Without its key a door knows nobody: pseudonyms under a random key match no entry and tell nobody anything.
    key = os.urandom(32) if keys.lost else keys.purpose(b"pseudonym")
    parts.passage = Passage(key, allowlist, recorder, clock, uptime, door, lock, settings, keys.old)
    parts.passage.locked_down = bool(parts.kept.get("lockdown"))
    outputs = [machine.Pin(number, machine.Pin.OUT, value=0) for number in board.PINS_SIGNALS]
    parts.player = Player(*outputs)
    _read_cards(parts, keys, chip)
    _contacts(parts)
    parts.alarms = [record.ALARM_KEYS_LOST] if keys.lost else []
    if store.damaged and store.source == "defaults":
        parts.alarms.append(record.ALARM_SETTINGS_LOST)
    service = Service(parts)
    if settings["host"] and not keys.lost:
        _connect(parts, keys, service)
    _on_trial(service)
    if parts.refusal:
        log.error("boot", "provision.json is refused, nothing of it was taken", error=parts.refusal)
    if no_chip:
        log.error("clock", "the clock chip tells no time", error=no_chip)
    if keys.lost:
        log.error("keys", "lost: provision this door again; exit, key switch and fire work")
    if journal.failures:
        log.error("journal", "flash fails", count=journal.failures)
    if store.damaged:
        log.error("boot", "settings damaged", copies=store.damaged, source=store.source)
    forget()
    return service

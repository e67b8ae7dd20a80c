"""What only a start needs is found and taken out of memory; nothing else."""

import subprocess
import sys
from pathlib import Path

from test_bundle import COPIES

from menwei.build import ROOT, SERVICE, sources
from menwei.bundles import bundled
from menwei.once import FORGET, forgetting, start_only

MICROPYTHON = Path(sys.executable).with_name("micropython")
RESIDENTS = ["storage.a", "storage.b"]
MODULES = {
    "storage.a": (
        "class Base:\n    def __init__(self):\n        self.prepare()\n    def prepare(self):\n        self.size = 3\n"
        "    def mount(self):\n        return self.size\n    def work(self):\n        return Often().go()\n\n\n"
        "class Often:\n    def __init__(self):\n        self.done = 1\n    def go(self):\n        return self.done\n"
        "    def __str__(self):\n        return 'often'\n"
    ),
    "storage.b": (
        "from storage.a import Base, Often\n\n\nclass More(Base):\n    def __init__(self, parts):\n"
        "        super().__init__()\n        self.parts = parts\n    def task(self):\n        return self.work()\n\n\n"
        "class Late(Often):\n    def rest(self):\n        return 4\n\n\nDEFAULT = Often()\n"
    ),
    "firmware.rare": "def run(more):\n    return more.task() + more.rest()\n",
    "firmware.start": (
        "from firmware.forget import forget\nfrom storage.b import Late, More\n\n\ndef begin():\n    more = More(1)\n"
        "    more.mount()\n    Late()\n    forget()\n    return more\n"
    ),
}
GOES = {
    ("storage.a", "Base", "__init__"),
    ("storage.a", "Base", "prepare"),
    ("storage.a", "Base", "mount"),
    ("storage.b", "More", "__init__"),
}


def test_methods_that_only_a_start_calls_are_found():
    assert start_only(MODULES, RESIDENTS, {"firmware.start"}) == GOES


def test_one_that_is_called_later_stays():
    later = {"firmware.rare": "from storage.b import More\n\n\ndef run(more):\n    return More(2), more.mount()\n"}
    found = start_only(MODULES | later, RESIDENTS, {"firmware.start"})
    assert ("storage.b", "More", "__init__") not in found
    assert ("storage.a", "Base", "__init__") not in found  # called by the other one
    assert ("storage.a", "Base", "mount") not in found


def test_a_name_in_a_string_counts():
    later = {"firmware.rare": "def run(more):\n    return getattr(more, 'mount')()\n"}
    assert ("storage.a", "Base", "mount") not in start_only(MODULES | later, RESIDENTS, {"firmware.start"})


def test_a_door_forgets_them_and_goes_on(tmp_path):
    modules = MODULES | {FORGET: forgetting(MODULES, RESIDENTS, {"firmware.start"})}
    for name, text in modules.items():
        path = tmp_path / (name.replace(".", "/") + ".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    script = (
        "from firmware.start import begin\nmore = begin()\nfrom storage.a import Base\nfrom storage.b import More\n"
        "print(more.task(), Base.__init__, Base.prepare, Base.mount, More.__init__, More.work is not None)\n"
    )
    said = subprocess.run([MICROPYTHON, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert said.stdout == "1 None None None None True\n"


def test_a_real_door_forgets_how_its_parts_are_made_and_keeps_what_is_made_anew():
    modules = {".".join(path.with_suffix("").parts): (ROOT / path).read_text() for path in sources(SERVICE)}
    setup = {module for _, module in bundled(modules)[1]["setup"]}
    setup -= COPIES
    residents = {module for _, module in bundled(modules)[1]["door"]}
    found = {(owner, name) for _, owner, name in start_only(modules, residents, setup)}
    assert {("Service", "__init__"), ("Mqtt", "__init__"), ("Watch", "__init__"), ("Contact", "__init__")} <= found
    for made_anew in (("Hmac", "__init__"), ("Journal", "append"), ("Allowlist", "find"), ("Iso14443a", "start")):
        assert made_anew not in found

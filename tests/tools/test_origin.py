"""A door's traceback leads to the sources."""

import json
import re
import subprocess
import sys
from pathlib import Path

from menwei.build import LINES, ROOT, build
from menwei.origin import translate
from menwei.unixport import environment

ORIGINS = {"door": [["", 0, 0], ["storage.a", 1, 2], ["storage.b", 6, 6]]}


def test_a_line_is_translated(tmp_path):
    (tmp_path / "storage").mkdir()
    (tmp_path / "storage/a.py").write_text("# one\nx = 1\n")
    (tmp_path / "storage/b.py").write_text("\n\nclass B:\n    def f(self):\n        # why\n        return 1\n")
    told = translate('  File "door", line 3, in _a\n', ORIGINS, tmp_path)
    assert told == '  File "storage/b.py", line 6, in B.f\n'
    assert translate('File "door", line 2', ORIGINS, tmp_path) == 'File "storage/a.py", line 1-2'


def test_what_is_not_of_a_door_stays():
    for line in ('File "asyncio/core.py", line 3, in run', 'File "door", line 1, in x', 'File "door", line 9', "door"):
        assert translate(line, ORIGINS) == line


def test_a_traceback_of_a_real_door(tmp_path):
    """Raised deep in what a door carries, read on the unix port."""
    build()
    origins = json.loads(LINES.read_text())
    script = (
        "import sys, door\n"
        "for name in dir(door):\n"
        "    thing = getattr(door, name)\n"
        "    try:\n"
        "        thing(b'x' * 65)\n"
        "    except Exception as error:\n"
        "        if 'longer than 64' in str(error):\n"
        "            sys.print_exception(error)\n"
    )
    said = subprocess.run(
        [Path(sys.executable).with_name("micropython"), "-X", "heapsize=2M", "-c", script],
        env=environment(), cwd=tmp_path, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    text = (ROOT / "storage/mac.py").read_text().splitlines()
    line = next(number for number, words in enumerate(text, 1) if "longer than 64" in words)
    told = re.search(r'File "storage/mac.py", line (\d+)-?(\d*), in Hmac.__init__', translate(said, origins))
    assert int(told[1]) <= line <= int(told[2] or told[1])

"""MQTT clients for MicroPython that a user would pick, below build/peers, as fetched from PyPI.

Old source archives that pip refuses to build: `unearth` fetches them, and they are checked against these hashes.
"""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import threading
from pathlib import Path

from menwei.build import ROOT

FOLDER = ROOT / "build" / "peers"
MQTT_ASYNC = (
    "micropython-mqtt-async==0.7b4",
    "c10a8a34064adad629f71f7ea559f7070169ce13c180265509f68f58618eec2b",
    "mqtt_async.py",
)
UMQTT_SIMPLE = (
    "micropython-umqtt.simple==1.3.4",
    "b6a2520239e3992c63a7de9370ee9b3d9d27819a90359c521f1c0f7ccab8d12f",
    "simple.py",
)
_FETCHING = threading.Lock()


def fetch(requirement, sha256, member):
    """Return the path of one module of a source archive.

    Raises:
        SystemExit: it cannot be had, or is another one than it was.
    """
    target = FOLDER / member
    with _FETCHING:
        if not target.exists():
            with tempfile.TemporaryDirectory() as folder:
                unearth = Path(sys.executable).with_name("unearth")
                done = subprocess.run([unearth, requirement, "-d", folder], capture_output=True, text=True, check=False)
                if done.returncode:
                    sys.exit(f"{requirement} cannot be had, and the bench compares with it:\n{done.stderr}")
                archive = next(Path(folder).glob("*.tar.gz"))
                if hashlib.sha256(archive.read_bytes()).hexdigest() != sha256:
                    sys.exit(f"{archive.name} does not have the expected hash")
                with tarfile.open(archive) as opened:
                    name = next(name for name in opened.getnames() if name.endswith("/" + member))
                    FOLDER.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(opened.extractfile(name).read())
    return target

"""Put micropython-unittest into `build/lib`.

Its package on the index is an old source archive that pip refuses to build, so `unearth` fetches it, checked
against the hash below, and the one module in it is unpacked.
"""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

NAME = "micropython-unittest==0.4"
SHA256 = "83b4a65c44b2f6382bc3dd8fbbe002b5679dbfc3744b99eaa59802e6fd14cf67"
TARGET = Path(__file__).resolve().parents[1] / "build" / "lib" / "unittest.py"


def main():
    """Fetch, check, unpack; do nothing if it is there."""
    if TARGET.exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        unearth = Path(sys.executable).with_name("unearth")
        subprocess.run([unearth, NAME, "-d", folder], check=True, stdout=subprocess.DEVNULL)
        archive = next(Path(folder).glob("*.tar.gz"))
        if hashlib.sha256(archive.read_bytes()).hexdigest() != SHA256:
            sys.exit(f"{archive.name} does not have the expected hash; it was not installed")
        with tarfile.open(archive) as opened:
            member = next(name for name in opened.getnames() if name.endswith("/unittest.py"))
            text = opened.extractfile(member).read()
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_bytes(text)


if __name__ == "__main__":
    main()

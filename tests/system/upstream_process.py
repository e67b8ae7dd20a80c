"""An upstream in a process of its own, so that it can be killed; its clock is whoever started it.

    python upstream_process.py JSON

One line of JSON each way. To it: {"id": 7, "do": "change", ...} or {"now": 1772434800.5, "for": 3}. From it:
{"id": 7, "ok": ...} or {"id": 7, "error": ...}, and {"clock": 3}, the question what time it is.
"""

import asyncio
import json
import sys
from pathlib import Path

from menwei.keyfile import KeyFile
from menwei.store import Store
from menwei.tls import Credentials
from menwei.upstream import Upstream


class Process:
    """Upstream, and the two streams."""

    def __init__(self, options):
        self.asked = {}
        self.options = options
        self.store = Store(Path(options["database"]), durable=False)
        if options.get("pages"):
            self.store._db.execute(f"PRAGMA max_page_count = {options['pages']}")
        self.upstream = None

    def say(self, line):
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    async def clock(self):
        number = len(self.asked) + 1
        self.asked[number] = answer = asyncio.get_running_loop().create_future()
        self.say({"clock": number})
        return await answer

    async def run(self):
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        options = self.options
        keys = KeyFile.load(Path(options["keys"]))
        tls = Credentials.of(None, None, None, Path(options["pki"])).context() if options["pki"] else None
        self.upstream = Upstream(options["host"], options["port"], keys, self.store, clock=self.clock, tls=tls)
        # `start` gives up when the broker is not there; an upstream that is to last does not.
        self.upstream._task = asyncio.create_task(self.upstream._run())
        work = set()
        while line := await reader.readline():
            message = json.loads(line)
            if "now" in message:
                self.asked[message["for"]].set_result(message["now"])
                continue
            task = asyncio.create_task(self.do(**message))
            work.add(task)
            task.add_done_callback(work.discard)

    async def do(self, id, do, **arguments):
        try:
            answer = {"ok": await getattr(self, do)(**arguments)}
        except (OSError, ValueError) as error:
            answer = {"error": str(error)}
        self.say({"id": id, **answer})

    async def change(self, door, changes):
        """Append changes to a door's list; returns its revision."""
        return [self.upstream.change(door, bytes.fromhex(change)) for change in changes][-1]

    async def order(self, door, operation, argument, deadline_s, **people):
        """Send a command; returns (nonce, number, bytes)."""
        command = await self.upstream.order(door, operation, argument, deadline_s, **people)
        return command.nonce.hex(), command.number, command.raw.hex()

    async def status(self, door):
        """What is known of a door now."""
        session = self.upstream.sessions.get(door)
        about = {"connected": self.upstream.connected.is_set(), "session": session is not None}
        if session:
            about.update(revision=session.revision, time_done=session.time_done, nonce=session.nonce.hex())
        return about | {"wanted": self.store.revision(door), "heads": [head.seq for *_, head in self.store.heads()]}

    async def room(self, pages):
        """Give the database so much room."""
        self.store._db.execute(f"PRAGMA max_page_count = {pages}")


if __name__ == "__main__":
    asyncio.run(Process(json.loads(sys.argv[1])).run())

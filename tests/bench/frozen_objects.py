# What the import of a frozen module leaves in the heap, on the 64-bit unix port and in phases on the 32-bit one: its
# code stays in flash, but its classes, functions and dicts do not. Run a second time, compiled code leaves the same.
import gc

done = False
TEXT = """
class Stream:
    def __init__(self, socket, extra={}):
        self.socket = socket

    def get(self, name):
        return self.extra[name]

    def close(self):
        pass

    async def wait(self):
        pass

    async def read(self, count=-1):
        pass

    async def read_into(self, buf):
        pass

    async def read_exactly(self, count):
        pass

    async def read_line(self):
        pass

    def write(self, buf):
        pass

    async def drain(self):
        pass

    aclose = wait
    awrite = drain


Reader = Stream
Writer = Stream


async def connect(host, port, ssl=None):
    pass


class Server:
    async def serve(self, socket, callback):
        pass

    def close(self):
        pass


async def start(callback, host, port, backlog=5, ssl=None):
    pass
"""
code = compile(TEXT, "frozen", "exec")
first = {}
second = {}
exec(code, first)
gc.collect()

# --- 0 ms: code and names are there
before = gc.mem_alloc()

# --- 0 ms: once more
exec(code, second)
gc.collect()

# --- 0 ms: what that left
print("@objects", gc.mem_alloc() - before)

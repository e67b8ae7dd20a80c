"""The module `_asyncio` of the simulated chip: Task and TaskQueue as asyncio/core.py expects them, on our clock.

    sys.modules["_asyncio"] = boards.sim.tasks  # before asyncio is imported

The C module reads the computer's clock, with a period of 2^62 ms that the simulated ticks do not have.
A queue is a linked list in order of time; a door has some ten tasks, and of equal times the first pushed comes first.
"""

from micropython import const

from boards.sim.clock import ticks_ms

_TICKS_MASK = const(0x3FFFFFFF)
_TICKS_HALF = const(0x20000000)

_context = None  # the globals of asyncio/core.py


def any_scheduled():
    """Whether the loop has a task to run, now or later."""
    return _context is not None and _context["_task_queue"].peek() is not None


class TaskQueue:
    """Tasks in the order in which they are to run."""

    def __init__(self):
        self._head = None

    def peek(self):
        """The next task, or None."""
        return self._head

    def push(self, task, key=None):
        """Put a task in at its time, now if none is given."""
        if key is None:
            key = ticks_ms()
        task.data = None
        task.ph_key = key
        after = self._head
        if after is None or (after.ph_key - key + _TICKS_HALF) & _TICKS_MASK > _TICKS_HALF:
            task.following = after
            self._head = task
            return
        before = after
        after = before.following
        while after is not None and (after.ph_key - key + _TICKS_HALF) & _TICKS_MASK <= _TICKS_HALF:
            before = after
            after = before.following
        task.following = after
        before.following = task

    def pop(self):
        """Take the next task out."""
        task = self._head
        if task is None:
            raise IndexError("empty heap")
        self._head = task.following
        task.following = None
        return task

    def remove(self, task):
        """Take one task out, wherever it stands."""
        before = self._head
        if before is task:
            self._head = task.following
        else:
            while before.following is not task:
                before = before.following
            before.following = task.following
        task.following = None


class Task:
    """A coroutine under way; can be waited for and cancelled."""

    def __init__(self, coro, core=None):
        global _context
        if core is not None:
            _context = core
        self.coro = coro
        self.data = None  # what it waits on, or the exception it ended with
        self.state = True  # True: runs, a TaskQueue: is awaited, None: ended, False: ended and somebody knows
        self.ph_key = 0
        self.following = None

    def __iter__(self):
        if not self.state:
            self.state = False
        elif self.state is True:
            self.state = TaskQueue()
        elif type(self.state) is not TaskQueue:
            raise RuntimeError("can't wait")
        return self

    def __next__(self):
        if not self.state:
            raise self.data
        task = _context["cur_task"]
        self.state.push(task)
        task.data = self

    def done(self):
        """Whether the coroutine has ended."""
        return not self.state

    def cancel(self):
        """Throw CancelledError into the coroutine, or into what it waits for."""
        if not self.state:
            return False
        if self is _context["cur_task"]:
            raise RuntimeError("can't cancel self")
        task = self
        while isinstance(task.data, Task):
            task = task.data
        ready = _context["_task_queue"]
        if hasattr(task.data, "remove"):
            task.data.remove(task)
            ready.push(task)
        elif 0 < (task.ph_key - ticks_ms()) & _TICKS_MASK < _TICKS_HALF:
            ready.remove(task)
            ready.push(task)
        task.data = _context["CancelledError"]
        return True

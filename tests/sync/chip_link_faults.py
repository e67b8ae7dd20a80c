"""A fault of the door's own in the midst of a message: the link goes on, and nothing of it piles up."""

from unittest import TestCase

from upstream_rig import KEYS, Rig, run, until

from sync import upstream


class Faults(TestCase):
    def test_whatever_is_raised_costs_one_connection(self):
        async def work():
            rig = Rig()
            executed = []
            for error in (AttributeError("x"), MemoryError("x"), KeyError("x"), IndexError("x"), ImportError("x")):
                nonce = bytes.fromhex((await rig.connect())["nonce"])

                def command(order, error=error):
                    executed.append(error)
                    raise error

                rig.host.command = command
                body = upstream.command_body(7, 4, nonce, 1, 1000, 7, 0, 0)
                await rig.say(b"cmd", upstream.build_command(KEYS.purpose(b"cmd"), body))
                await until(lambda: not rig.link.connected)
                self.assertTrue(rig.link.last_error is error and rig.host.failure is error, rig.link.last_error)
                self.assertFalse(rig.task.done())
                rig.stream = None
            self.assertEqual(len(executed), 5)
            rig.finish()

        run(work())

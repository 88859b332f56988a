"""The runner of the end-to-end tests: what fails while the machine stood still runs again, what fails else does not."""

import io
import os
import pathlib
import signal
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "e2e"))

import run
from server import wait_until


class Stood:
    """Witnesses who say of everything that the machine stood still for so long."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __call__(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def longest(self, begin, end):
        assert begin < end
        return self.seconds


def outcome(failures, stood):
    """Whether a test that fails so many times before it passes counts as passed, and how often it ran."""
    tries = []

    class Tried(unittest.TestCase):
        def test_once(self):
            tries.append(None)
            with self.subTest():
                self.assertGreater(len(tries), failures)

    with io.StringIO() as stream:
        runner = run.Runner(stream=stream)
        runner.witnesses = Stood(stood)
        result = runner.run(unittest.TestSuite([Tried("test_once")]))
    return result.wasSuccessful(), len(tries)


class Rerun(unittest.TestCase):
    def test_only_what_failed_while_the_machine_stood_still_runs_again_and_not_for_ever(self):
        self.assertEqual(outcome(failures=0, stood=0.0), (True, 1))
        self.assertEqual(outcome(failures=1, stood=0.0), (False, 1))
        self.assertEqual(outcome(failures=1, stood=0.5), (True, 2))
        self.assertEqual(outcome(failures=9, stood=0.5), (False, run.TRIES))

    def test_a_processor_that_does_not_run_what_waits_for_it_is_noticed(self):
        with run.Witnesses() as witnesses:
            begin = time.monotonic()
            one = witnesses.watching[0]

            def stand_still():
                os.kill(one.pid, signal.SIGSTOP)
                time.sleep(2 * run.STANDSTILL)
                os.kill(one.pid, signal.SIGCONT)
                return witnesses.longest(begin, time.monotonic()) > run.STANDSTILL

            wait_until(stand_still, "it says so")

    def test_a_standstill_counts_for_what_ran_meanwhile(self):
        witnesses = run.Witnesses()
        pathlib.Path(witnesses.seen.name).write_text("10.0 0.5\n20.0 0.3\n")
        for begin, end, expected in [(0, 9.9, 0), (0, 10.1, 0.5), (10.4, 12, 0.5), (10.6, 19, 0), (10.1, 30, 0.5)]:
            self.assertEqual(witnesses.longest(begin, end), expected, (begin, end))
        witnesses.seen.close()


if __name__ == "__main__":
    unittest.main()

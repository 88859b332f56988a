#!/usr/bin/env python3
"""Runs the end-to-end tests: `python3 -m unittest discover` with all its arguments, and one thing more. The calls
of these tests take real time. Where the machine itself stood still while a test failed, as virtual machines do when
their host is busy, the failure says nothing of the server, and the test runs again. Where it did not, a failure is one.
"""

import multiprocessing
import os
import pathlib
import sys
import tempfile
import time
import unittest

# A processor that wakes a sleeper so many seconds too late stood still: what a server and its callers do on two
# cores, the soak included, makes it a tenth of that.
STANDSTILL = 0.15

# How often a test is run at most.
TRIES = 3


class Witnesses:
    """A process on each processor that does nothing but notice when it was not woken."""

    def __init__(self):
        self.seen = tempfile.NamedTemporaryFile("r")
        self.watching = [
            multiprocessing.Process(target=watch, args=(processor, self.seen.name), daemon=True)
            for processor in os.sched_getaffinity(0)
        ]

    def __enter__(self):
        for one in self.watching:
            one.start()
        return self

    def __exit__(self, *_):
        for one in self.watching:
            one.terminate()
            one.join()
        self.seen.close()

    def longest(self, begin, end):
        """The longest time, in seconds, for which a processor stood still between two moments of the monotonic clock."""
        self.seen.seek(0)
        stood = [tuple(map(float, line.split())) for line in self.seen]
        return max((late for asleep, late in stood if asleep < end and asleep + late > begin), default=0.0)


def watch(processor, file):
    """Writes down from when, and for how long, this processor stood still."""
    os.sched_setaffinity(0, {processor})
    with open(file, "a", buffering=1) as seen:
        while True:
            due = time.monotonic() + 0.02
            time.sleep(0.02)
            late = time.monotonic() - due
            if late > STANDSTILL:
                seen.write(f"{due} {late}\n")


class Result(unittest.TextTestResult):
    """Knows when each test ran."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.times = {}

    def startTest(self, test):
        self.times[test] = (time.monotonic(), None)
        super().startTest(test)

    def stopTest(self, test):
        super().stopTest(test)
        self.times[test] = (self.times[test][0], time.monotonic())

    def failed(self):
        """The tests that did, each once. What failed before any test of a class began is none of them."""
        return list(dict.fromkeys(getattr(test, "test_case", test) for test, _ in self.failures + self.errors))


class Runner(unittest.TextTestRunner):
    resultclass = Result
    witnesses = Witnesses

    def run(self, test):
        with self.witnesses() as witnesses:
            result = super().run(test)
            for _ in range(TRIES - 1):
                stood = {one: witnesses.longest(*result.times.get(one, (0, 0))) for one in result.failed()}
                if not stood or not all(stood.values()):
                    break
                for one, late in stood.items():
                    self.stream.writeln(f"again, for the machine stood still for {late:.2f} s meanwhile: {one}")
                result = super().run(unittest.TestSuite(stood))
            return result


if __name__ == "__main__":
    here = str(pathlib.Path(__file__).parent)
    unittest.main(module=None, argv=[sys.argv[0], "discover", "-s", here, *sys.argv[1:]], testRunner=Runner)

#!/usr/bin/env python3
"""A witness beside a shard: wakes every 5 ms on the same core at a higher priority and does nothing else.

    loadtest/witness.py --core 1 [--seconds 60]

Where it is late too, nobody's work was the reason but the machine's: its host had the core, or its kernel held it. At its
end, after so many seconds or at SIGTERM, it prints how often it woke and how late, as JSON.
"""

import argparse
import json
import os
import signal
import time

PERIOD = 0.005
PRIORITY = 90


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--core", type=int, required=True)
    arguments.add_argument("--seconds", type=float, default=float("inf"))
    options = arguments.parse_args()
    os.sched_setaffinity(0, {options.core})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    print(json.dumps(watch(options.seconds, ended)))


def watch(seconds, ended):
    """Wakes until it is told to end, and says how late."""
    late = []
    due = begun = time.monotonic()
    while not ended and due - begun < seconds:
        due += PERIOD
        time.sleep(max(0, due - time.monotonic()))
        late.append(time.monotonic() - due)
        # What was missed is not made up for: that would be counted as late again and again.
        due = max(due, time.monotonic() - PERIOD)
    over = lambda limit: [one for one in late if one > limit]
    return {"wakes": len(late), "over_1ms": len(over(0.001)), "over_5ms": len(over(0.005)),
            "stalled_ms": 1000 * sum(over(0.005)), "max_ms": 1000 * max(late, default=0)}


if __name__ == "__main__":
    main()

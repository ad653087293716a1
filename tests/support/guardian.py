"""Kills what a test run leaves behind that is itself killed: reads `+pid` and `-pid` until its input ends.

Run as a process of its own by `process_tree`; a run that ends in good order has told it `-pid` of everything.
"""

import os
import signal
import sys
from contextlib import suppress

if __name__ == "__main__":
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    alive: set[int] = set()
    for line in sys.stdin:
        pid = int(line[1:])
        alive = alive | {pid} if line[0] == "+" else alive - {pid}
    for pid in alive:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)

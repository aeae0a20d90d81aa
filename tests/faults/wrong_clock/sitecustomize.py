"""The interpreter imports this before anything else: its wall clock is off by WRONG_CLOCK_S seconds from then on."""

import os
import time

_OFF_S = int(os.environ["WRONG_CLOCK_S"])
_time, _time_ns = time.time, time.time_ns

time.time = lambda: _time() + _OFF_S
time.time_ns = lambda: _time_ns() + _OFF_S * 1_000_000_000

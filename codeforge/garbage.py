"""How often a process looks for garbage that only refers to itself."""

import gc

GARBAGE_EVERY = 20_000
"""Objects made and still held between two looks for garbage in cycles. Python's own number is 700."""

OLDER_EVERY = 5
"""Every so many looks go on to what survived one, and so many of those to all: garbage waits for 500,000 objects."""


def collect_seldom() -> None:
    """To be called once all is imported. Looking for garbage took 18 % of the processor time of a worker with many
    small tasks, and 10 % of an API's with many submissions: hundreds of them are young at the same time, and each full
    look goes through all that the imports left, which is never freed and is left out from now on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_EVERY, OLDER_EVERY, OLDER_EVERY)

"""The child process for suspects, once its parent is gone."""

import subprocess
import sys

START_S = 60

STANDING_STILL = """
import types, threading, workers.suspects as child
child.DISMISSED_S = 0.1
crew = types.SimpleNamespace(busy=False, obey=print, dismiss=print)
threading.Thread(target=child._take_orders, args=(crew, lambda *call: None), daemon=True).start()
while True:  # an agent that took the loop and never gives it back
    pass
"""


def test_a_child_whose_loop_stands_still_ends_all_the_same() -> None:
    child = subprocess.run([sys.executable, "-c", STANDING_STILL], stdin=subprocess.DEVNULL, timeout=START_S)
    assert child.returncode == 75

"""Agents that break what runs them, beside innocent ones."""

from tests.faults.loads import Load, debates, poison
from tests.faults.rig import Rig
from tests.faults.verdict import Figures, wait_settled


def poison_agents(rig: Rig, load: Load, _: Figures) -> str:
    """Innocent tasks beside some that raise, end their process, or never await."""
    deeds = [deed for deed in ("raise", "exit", "spin") for _number in range(load.faults)]
    rig.submit([*debates(load.tasks), *map(poison, deeds)], "load")
    wait_settled(rig, 140.0)
    rows = rig.rows("state", "type")
    innocent = [state for state, kind in rows.values() if kind == "debate"]
    assert innocent.count("succeeded") == len(innocent), f"innocent tasks: {innocent}"
    return f"{load.faults} poison tasks each of raise, os._exit, endless loop"

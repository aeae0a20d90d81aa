"""How long ended tasks are kept, as the settings say."""

from codeforge.settings import load_settings
from codeforge.task import TaskState
from codeforge.wiring.ledger import retention


def test_one_setting_is_for_all_states() -> None:
    kept = retention(load_settings({"retention_s": "100"}))
    assert {kept.of(state) for state in TaskState if state.terminal} == {100}
    assert kept.shortest_s == 100


def test_a_state_may_have_its_own() -> None:
    kept = retention(load_settings({"retention_s": "100", "retention_succeeded_s": "60", "retention_dead_s": "900"}))
    assert [kept.of(state) for state in (TaskState.SUCCEEDED, TaskState.DEAD, TaskState.FAILED)] == [60, 900, 100]
    assert kept.shortest_s == 60

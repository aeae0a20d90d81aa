"""The coding agent."""

import asyncio
import json

import pytest

from codeforge.errors import ModelError
from codeforge.inputs import CodingInput
from codeforge.results import CodingResult
from tests.unit.agent_context import FakeContext
from workers import coding
from workers.coding import CodingAgent


def answer(*files: tuple[str, str], summary: str = "Fixed it.") -> str:
    return json.dumps({"summary": summary, "files": [{"path": path, "content": text} for path, text in files]})


def run(ctx: FakeContext, task_input: CodingInput) -> CodingResult:
    return asyncio.run(CodingAgent().run(ctx, task_input))


def test_changed_and_new_files_come_whole_and_as_a_diff() -> None:
    ctx = FakeContext(answers={"change": answer(("calc.py", "a = 2\n"), ("./src/new.py", "b = 1\n"), ("same.py", "s"))})
    given = {"calc.py": "a = 1\n", "same.py": "s"}

    result = run(ctx, CodingInput(prompt="Set a to 2.", files=given))

    assert result.files == {"calc.py": "a = 2\n", "src/new.py": "b = 1\n"}
    assert "--- a/calc.py\n+++ b/calc.py\n" in result.diff
    assert "-a = 1\n+a = 2\n" in result.diff
    assert "--- /dev/null\n+++ b/src/new.py\n" in result.diff
    assert "same.py" not in result.diff


def test_nothing_is_run_and_the_result_says_so() -> None:
    result = run(FakeContext(answers={"change": answer(("a.py", "1"))}), CodingInput(prompt="x", max_iterations=5))

    assert result.tests is None
    assert [warning.code for warning in result.warnings] == ["sandbox_unavailable"]
    assert [(it.n, it.summary, it.files_changed, it.tests) for it in result.iterations] == [
        (1, "Fixed it.", ["a.py"], None)
    ]


def test_one_call_is_all_that_it_costs() -> None:
    ctx = FakeContext(answers={"change": answer(("a.py", "1"))})
    run(ctx, CodingInput(prompt="x", max_iterations=20))
    assert list(ctx.requests) == ["change"]


def test_the_model_sees_task_files_tests_and_command() -> None:
    ctx = FakeContext(answers={"change": answer(("a.py", "1"))})
    files = {"a.py": "uses ``` fences"}

    run(ctx, CodingInput(prompt="Do it.", language="go", files=files, tests={"a_test.go": "assert 1"}))

    shown = ctx.requests["change"].messages[-1].content
    for part in ("Task: Do it.", "Language: go", "File a.py:\n````\nuses ``` fences\n````", "a_test.go", "assert 1"):
        assert part in shown


@pytest.mark.parametrize("path", ["/etc/passwd", "../up.py", ".git/hooks/pre-commit", "test_a.py"])
def test_a_path_that_may_not_be_written_is_sent_back(path: str) -> None:
    ctx = FakeContext(answers={"change": answer((path, "bad")), "change.repair1": answer(("a.py", "good"))})

    result = run(ctx, CodingInput(prompt="x", tests={"test_a.py": "assert True"}))

    assert result.files == {"a.py": "good"}


def test_a_model_that_insists_on_such_a_path_fails_the_task() -> None:
    ctx = FakeContext(answers={name: answer(("/x", "bad")) for name in ("change", "change.repair1", "change.repair2")})

    with pytest.raises(ModelError, match="absolute"):
        run(ctx, CodingInput(prompt="x"))


def test_of_a_file_given_twice_the_last_counts() -> None:
    result = run(FakeContext(answers={"change": answer(("a", "1"), ("a", "2"))}), CodingInput(prompt="x"))
    assert result.files == {"a": "2"}


def test_no_change_is_said() -> None:
    ctx = FakeContext(answers={"change": answer(("a.py", "same"))})

    result = run(ctx, CodingInput(prompt="x", files={"a.py": "same"}))

    assert (result.files, result.diff) == ({}, "")
    assert "no_changes" in {warning.code for warning in result.warnings}


def test_files_that_do_not_fit_are_named_and_cannot_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coding, "SHOWN_CHARS", 100)
    ctx = FakeContext(answers={"change": answer(("big.py", "guess")), "change.repair1": answer(("small.py", "known"))})

    result = run(ctx, CodingInput(prompt="x", files={"big.py": "x" * 200, "small.py": "y"}))

    assert result.files == {"small.py": "known"}
    assert "x" * 200 not in ctx.requests["change"].messages[-1].content
    notice = next(warning for warning in result.warnings if warning.code == "files_not_shown")
    assert "big.py" in notice.message


def test_larger_files_get_more_room() -> None:
    assert coding.answer_tokens({}) == coding.MIN_TOKENS
    assert coding.answer_tokens({"a": "x" * 9_000}) == coding.MIN_TOKENS + 3_000
    assert coding.answer_tokens({"a": "x" * 900_000}) == coding.MAX_TOKENS


def test_progress_ends_at_its_total() -> None:
    ctx = FakeContext(answers={"change": answer(("a.py", "1"))})
    run(ctx, CodingInput(prompt="x"))
    assert ctx.reports[-1][:2] == (2, 2)
    assert [kind for kind, _ in ctx.events] == ["iteration"]

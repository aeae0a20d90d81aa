"""The agents against a model server over real sockets, in each spelling of structured output that services take."""

import asyncio
from typing import Any

import pytest

from codeforge.inputs import INPUTS
from codeforge.llm.client import OpenAICompatibleClient
from codeforge.results import RESULTS, ResultModel
from codeforge.worker_types import WorkerType
from tests.servers.model import MODEL, ModelServer
from tests.unit.agent_context import FakeContext, page
from workers.agents import agents_for

URL = "https://a.example/"
CASES: dict[WorkerType, dict[str, Any]] = {
    WorkerType.CODING: {"prompt": "Write add(a, b).", "files": {"a.py": "x = 1\n"}},
    WorkerType.ANALYSIS: {"question": "What is it?", "urls": [URL], "search": "none"},
    WorkerType.DEBATE: {"question": "Tabs or spaces?", "sides": 3, "rounds": 2},
}


@pytest.mark.parametrize("dialect", ["any", "openai", "llama_cpp", "json_object", "none"])
@pytest.mark.parametrize("worker_type", list(CASES))
def test_an_agent_gives_a_whole_result(worker_type: WorkerType, dialect: Any) -> None:
    async def run(url: str) -> ResultModel:
        client = OpenAICompatibleClient(url, None, MODEL, 10.0, 10)
        ctx = FakeContext(client=client, pages={URL: page(URL, "Text of an answer that stands in the page.")})
        task_input = INPUTS[worker_type].model_validate(CASES[worker_type])
        try:
            return await agents_for([worker_type])[worker_type].run(ctx, task_input)
        finally:
            await client.close()

    with ModelServer(dialect=dialect) as server:
        result = asyncio.run(run(server.url))

    kind = RESULTS[worker_type]
    assert isinstance(result, kind)
    assert kind.model_validate_json(result.model_dump_json()) == result
    keys = [call.idempotency_key for call in server.calls]
    assert all(key is not None and key.startswith("t1:") for key in keys)
    assert {call.fence for call in server.calls} == {"1"}

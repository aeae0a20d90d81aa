"""`celery -A bench.ours.worker worker`: this service's worker as it is, with the agent of `bench.ours.agent`."""

import os
from collections.abc import Sequence

import workers.agents
from bench.ours.agent import CallsAgent
from codeforge.agent import Agent
from codeforge.worker_types import WorkerType


def agents_for(served: Sequence[WorkerType]) -> dict[WorkerType, Agent]:
    """The one agent, in place of the service's own."""
    return {worker_type: CallsAgent(int(os.environ["CALLS"])) for worker_type in served}


workers.agents.agents_for = agents_for

from workers.main import app  # noqa: E402  # it takes what was put there

__all__ = ["app"]

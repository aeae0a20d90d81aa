"""The agents by worker type. Each is imported only by a process that serves its type: their libraries take memory."""

from collections.abc import Sequence

from codeforge.agent import Agent
from codeforge.worker_types import WorkerType


def agents_for(served: Sequence[WorkerType]) -> dict[WorkerType, Agent]:
    """One agent for each type of `served`."""
    return {worker_type: _agent(worker_type) for worker_type in served}


def _agent(worker_type: WorkerType) -> Agent:
    match worker_type:
        case WorkerType.SCRAPE:
            from workers.scrape import ScrapeAgent

            return ScrapeAgent()
        case WorkerType.ANALYSIS:
            from workers.analysis import AnalysisAgent

            return AnalysisAgent()
        case WorkerType.DEBATE:
            from workers.debate import DebateAgent

            return DebateAgent()
        case WorkerType.CODING:
            from workers.coding import CodingAgent

            return CodingAgent()

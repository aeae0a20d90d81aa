"""What a finished task becomes in the stores: pure functions from the ledger's task to nodes, edges and texts."""

from codeforge.records.model import SearchText, TaskRecords
from codeforge.records.task import records_of

__all__ = ["SearchText", "TaskRecords", "records_of"]

"""The ledger in memory, for unit tests only: it keeps nothing and serves one event loop. It passes the contract tests
of the real one."""

from codeforge.ledger.memory.ledger import MemoryLedger

__all__ = ["MemoryLedger"]

"""CodeForge: AI-agent tasks at scale. The ledger is the truth, the broker is a doorbell."""

__version__ = "0.1.0"

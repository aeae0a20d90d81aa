"""What a step pays for that is no model call: a web search, a rendered page."""

from codeforge.execution.patience import patiently
from codeforge.ledger.port import Ledger
from codeforge.task import Claim


class Purchase:
    """Of one step; `begun` once there is something to pay for."""

    def __init__(self, ledger: Ledger, claim: Claim, name: str) -> None:
        self._ledger = ledger
        self._claim = claim
        self._name = name
        self.begun = False

    async def begin(self) -> None:
        """Right before the money is spent: nothing is bought under a claim that is not the current one, or while there
        is no memory to keep it. Raises StaleClaim, and LedgerUnavailable when that lasts."""
        await patiently(lambda: self._ledger.begin_call(self._claim, self._name))
        self.begun = True

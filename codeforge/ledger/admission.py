"""What may run at once and what may wait, and how the scripts get to know it: as constants before their text."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from codeforge.errors import TenantQueueFull
from codeforge.ledger.bells import Bells
from codeforge.worker_types import Priority, WorkerType


@dataclass(frozen=True, slots=True)
class TenantCaps:
    """A cap for every tenant and others for some. 0 is no cap."""

    default: int = 0
    overrides: Mapping[str, int] = field(default_factory=dict)

    def of(self, tenant: str) -> int:
        """The tenant's cap."""
        return self.overrides.get(tenant, self.default)


@dataclass(frozen=True, slots=True)
class Caps:
    """What a deployment admits. `agents` run at once, of all types and tenants; `running` and `queued` are each
    tenant's. Every process must be given the same ones: each script obeys those of the process that calls it."""

    agents: int = 0
    running: TenantCaps = TenantCaps()
    queued: TenantCaps = TenantCaps()


NO_CAPS = Caps()


def queue_full(caps: Caps, tenant: str) -> TenantQueueFull:
    """What a submission over the tenant's cap is refused with."""
    return TenantQueueFull(f"at most {caps.queued.of(tenant)} tasks of a tenant may wait; nothing was accepted")


def constants(caps: Caps, bells: Bells) -> str:
    """Lua lines that `lua/places.lua` builds on."""
    rings = {
        f"{kind}:{priority}": f"{{{_text(bell.queue)}, {_text(bell.template)}}}"
        for (kind, priority), bell in bells.items()
    }
    return "\n".join(
        (
            f"local TYPES = {{{', '.join(_text(kind) for kind in WorkerType)}}}",
            f"local RANKS = {_table({priority.value: str(rank) for rank, priority in enumerate(Priority)})}",
            f"local BELLS = {_table(rings)}",
            f"local MAX_AGENTS = {caps.agents}",
            f"local TENANT_MAX_RUNNING = {caps.running.default}",
            f"local TENANT_RUNNING = {_numbers(caps.running)}",
            f"local TENANT_MAX_QUEUED = {caps.queued.default}",
            f"local TENANT_QUEUED = {_numbers(caps.queued)}",
        )
    )


def _numbers(caps: TenantCaps) -> str:
    return _table({tenant: str(cap) for tenant, cap in sorted(caps.overrides.items())})


def _table(values: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"[{_text(name)}] = {value}" for name, value in values.items()) + "}"


def _text(value: str) -> str:
    """A Lua string; whatever is not plainly harmless is written as decimal escapes."""
    plain = "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"\\{byte:03d}" for byte in value.encode())
    return f'"{plain}"'

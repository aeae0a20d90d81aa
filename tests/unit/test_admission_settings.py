"""Caps, rates and keys as the environment spells them."""

import hashlib

import pytest

from codeforge.errors import SettingsError
from codeforge.settings import load_settings
from codeforge.wiring.ledger import caps

OLD, NEW = (hashlib.sha256(key).hexdigest() for key in (b"old", b"new"))


def test_no_cap_is_the_default() -> None:
    admitted = caps(load_settings())
    assert (admitted.agents, admitted.running.of("acme"), admitted.queued.of("acme")) == (0, 0, 0)


def test_caps_of_all_and_of_some_tenants() -> None:
    given = {"MAX_AGENTS": "500", "TENANT_MAX_RUNNING": "10, acme:50,vip:0", "TENANT_MAX_QUEUED": "acme:7"}
    admitted = caps(load_settings(given))
    assert admitted.agents == 500
    assert [admitted.running.of(tenant) for tenant in ("acme", "vip", "rival")] == [50, 0, 10]
    assert [admitted.queued.of(tenant) for tenant in ("acme", "rival")] == [7, 0]


def test_tenant_may_have_several_keys() -> None:
    keys = load_settings({"API_KEYS": f"acme:{OLD}, acme:{NEW.upper()}"}).api_keys
    assert {digest: tenant.get_secret_value() for digest, tenant in keys.items()} == {OLD: "acme", NEW: "acme"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_AGENTS", "0"),
        ("TENANT_MAX_RUNNING", "-1"),
        ("TENANT_MAX_RUNNING", "acme"),
        ("TENANT_MAX_RUNNING", "acme:x"),
        ("TENANT_MAX_RUNNING", ":5"),
        ("TENANT_MAX_RUNNING", "5,6"),
        ("TENANT_MAX_QUEUED", "a b:5"),
        ("TENANT_MAX_QUEUED", "acme:1,acme:2"),
        ("API_KEYS", f"acme:{OLD},"[:-5]),
        ("RATE_LIMIT", "100"),
        ("RATE_LIMIT", "0/minute"),
        ("RATE_LIMIT", "5/fortnight"),
        ("API_KEYS", f"a b:{OLD}"),
        ("API_KEYS", f"acme:{OLD},rival:{OLD}"),
        ("API_KEYS", f"acme:{hashlib.sha256(b'').hexdigest()}"),
    ],
)
def test_bad_values_are_refused_with_one_line_that_shows_no_value(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({name: value})
    message = str(caught.value)
    assert message.startswith(f"CODEFORGE_{name}")
    assert "\n" not in message
    assert OLD not in message

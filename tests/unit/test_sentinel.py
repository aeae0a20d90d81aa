"""Sentinel addresses: one syntax for every client."""

import pytest

from codeforge.broker.app import make_app
from codeforge.errors import SettingsError
from codeforge.ledger import connection
from codeforge.sentinel import SentinelAddress, parse_sentinel
from codeforge.settings import load_settings
from codeforge.worker_types import WorkerType

FULL = (
    "sentinel://cf:p%40ss@a:26379;b:26380;[::1]:26381/2"
    "?master_name=tasks&sentinel_username=watch&sentinel_password=s%26cret"
)


def test_every_part_is_read() -> None:
    hosts = (("a", 26379), ("b", 26380), ("::1", 26381))
    parsed = parse_sentinel(FULL)
    assert parsed == SentinelAddress(hosts, "tasks", 2, "cf", "p@ss", "watch", "s&cret")
    assert parse_sentinel(f"{parsed.kombu_url}?{FULL.partition('?')[2]}") == parsed


@pytest.mark.parametrize("address", ["sentinel://a;b", "sentinel://a:26379;sentinel://b:26379/0", "sentinel://a;b/"])
def test_what_is_left_out_has_a_default(address: str) -> None:
    assert parse_sentinel(address) == SentinelAddress((("a", 26379), ("b", 26379)))


@pytest.mark.parametrize(
    "address",
    [
        "redis://a",
        "sentinel://",
        "sentinel://hunter2:0",
        "sentinel://a:port",
        "sentinel://a:65536",
        "sentinel://a;;b",
        "sentinel://a/hunter2",
        "sentinel://a?ssl=hunter2",
        "sentinel://a?tls=hunter2",
        "sentinel://::1",
        "sentinel://:hunter2@",
        "sentinel://:hunter2/x@a",
    ],
)
def test_nonsense_is_refused_and_not_shown(address: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is what is looked at
        parse_sentinel(address)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(SettingsError, match="REDIS_URL") as refused:
        load_settings({"redis_url": address.replace("redis://a", "redi://a")})
    assert "hunter2" not in str(refused.value)


def test_no_secret_is_shown() -> None:
    shown = repr(parse_sentinel(FULL))
    assert "p@ss" not in shown
    assert "s&cret" not in shown


def test_the_sentinels_password_may_be_a_setting() -> None:
    given = {"redis_sentinel_password": "of&all"}
    settings = load_settings(given | {"redis_url": "sentinel://a/1?master_name=m"})
    assert parse_sentinel(settings.redis_address) == SentinelAddress(
        (("a", 26379),), "m", 1, sentinel_password="of&all"
    )
    assert load_settings(given | {"redis_url": FULL}).redis_address == FULL  # its own wins
    assert load_settings(given | {"redis_url": "redis://a"}).redis_address == "redis://a"


def test_the_parts_may_be_settings_so_that_only_passwords_are_secret() -> None:
    given = {"redis_sentinels": "a, b:26380", "redis_master_name": "tasks", "redis_user": "cf"}
    settings = load_settings(given | {"redis_password": "p@ss", "redis_sentinel_password": "s&cret"})
    hosts = (("a", 26379), ("b", 26380))
    assert parse_sentinel(settings.redis_address) == SentinelAddress(
        hosts, "tasks", 0, "cf", "p@ss", sentinel_password="s&cret"
    )


def test_a_sentinel_that_is_no_host_is_named() -> None:
    with pytest.raises(SettingsError, match=r"CODEFORGE_REDIS_SENTINELS: expected host:port .* commas"):
        load_settings({"redis_sentinels": "a:26379,b:port"})


def test_tls_is_told_to_the_ledger_s_clients_and_to_celery_s() -> None:
    given = {"redis_sentinels": "a", "redis_password": "x", "redis_tls": "true", "redis_ca_file": "/tls/ca.crt"}
    settings = load_settings(given)
    trusted = {"ssl_cert_reqs": "required", "ssl_ca_certs": "/tls/ca.crt"}
    assert parse_sentinel(settings.redis_address).tls_options == trusted
    app = make_app(settings, [WorkerType.SCRAPE])
    assert app.conf.broker_use_ssl == trusted
    assert trusted.items() <= app.conf.broker_transport_options["sentinel_kwargs"].items()
    assert load_settings({**given, "redis_sentinels": "", "redis_host": "a"}).redis_address == (
        "rediss://:x@a:6379/0?ssl_ca_certs=/tls/ca.crt"
    )
    assert parse_sentinel(load_settings({**given, "redis_tls": "false"}).redis_address).tls_options == {}


@pytest.mark.parametrize("address", [FULL, "sentinel://a;[::1]:1", "sentinel://a?tls=true&ca_file=/tls/a%20b"])
def test_an_address_is_put_together_as_it_was_read(address: str) -> None:
    assert parse_sentinel(parse_sentinel(address).url) == parse_sentinel(address)


def test_celery_gets_the_same_address_in_its_own_form() -> None:
    app = make_app(load_settings({"redis_url": FULL}), [WorkerType.SCRAPE])
    each = [f"sentinel://cf:p%40ss@{host}/2" for host in ("a:26379", "b:26380", "[::1]:26381")]
    assert app.conf.broker_url == ";".join(each)
    options = app.conf.broker_transport_options
    assert options["master_name"] == "tasks"
    assert options["sentinel_kwargs"]["password"] == "s&cret"
    assert options["sentinel_kwargs"]["username"] == "watch"


@pytest.mark.parametrize("kind", ["_Sentinels", "_SyncSentinels"])
def test_master_that_is_being_replaced_is_none(kind: str) -> None:
    manager = getattr(connection, kind)([("127.0.0.1", 1)])
    state = {"is_master": True, "is_sdown": False, "is_odown": False, "num-other-sentinels": 0}
    assert manager.check_master_state({**state, "flags": "master"}, "tasks")
    assert not manager.check_master_state({**state, "flags": "master,failover_in_progress"}, "tasks")

"""The ready file's form, and that readers never see a part of it."""

import json
import stat
from pathlib import Path

from codeforge.local.ready_file import Addresses, write_ready_file

ADDRESSES = Addresses(
    api="http://127.0.0.1:8080",
    flower="http://127.0.0.1:5555",
    flower_user="codeforge",
    flower_password="secret-of-flower",
    redis="redis://:secret-of-redis@127.0.0.1:6390/0",
    bolt="bolt://127.0.0.1:7690",
    bolt_user="root",
    bolt_password="secret-of-graph",
    qdrant="http://127.0.0.1:6343",
)


def test_it_holds_what_the_contract_names(tmp_path: Path) -> None:
    path = tmp_path / "ready.json"
    write_ready_file(path, ADDRESSES, {"api": 7})
    document = json.loads(path.read_text())
    assert set(document) == {
        "api", "flower", "flower_user", "flower_password", "redis", "bolt", "bolt_user", "bolt_password", "qdrant",
        "pids",
    }  # fmt: skip
    assert document["pids"] == {"api": 7}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_rewrite_replaces_the_file_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "ready.json"
    write_ready_file(path, ADDRESSES, {"api": 7})
    with path.open() as reader:
        write_ready_file(path, ADDRESSES, {"api": 8})
        assert json.load(reader)["pids"] == {"api": 7}
    assert json.loads(path.read_text())["pids"] == {"api": 8}
    assert [entry.name for entry in tmp_path.iterdir()] == ["ready.json"]


def test_its_secrets_are_not_in_its_text_form() -> None:
    assert "secret" not in repr(ADDRESSES)

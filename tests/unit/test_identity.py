"""Task ids: UUID version 7."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeforge.identity import NAMESPACE, is_task_id, new_task_id, stable_id


def test_id_is_a_uuid_of_version_7_with_the_time_of_now() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(new_task_id())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000 + 1_000


def test_ids_sort_by_when_they_were_made_and_never_meet() -> None:
    ids = [new_task_id() for _ in range(5_000)]
    assert ids == sorted(set(ids))


def test_threads_never_make_the_same_id() -> None:
    with ThreadPoolExecutor(4) as threads:
        ids = list(threads.map(lambda _: new_task_id(), range(4_000)))
    assert len(set(ids)) == 4_000


def test_ids_keep_growing_when_the_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    first = new_task_id()
    monkeypatch.setattr("codeforge.identity.time.time_ns", lambda: 0)
    assert new_task_id() > first


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "01890000-0000-7000-8000-00000000000",
        "01890000000070008000000000000000",
        "{01890000-0000-7000-8000-000000000000}",
        "01890000-0000-7000-8000-00000000000A",
    ],
)
def test_other_spellings_are_no_ids(text: str) -> None:
    assert not is_task_id(text)
    assert is_task_id(new_task_id())


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_stable_id_is_a_uuid_of_version_5(parts: list[str]) -> None:
    name = "\x1f".join([",".join(str(len(part)) for part in parts), *parts])
    assert stable_id(*parts) == str(uuid.uuid5(NAMESPACE, name))

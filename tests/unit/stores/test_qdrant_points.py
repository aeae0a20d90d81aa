"""Points as they are sent."""

import orjson
import pytest

from codeforge.errors import RowRejected
from codeforge.stores.ports import Point
from codeforge.stores.qdrant_queries import estimated_bytes, points_body

ID = "00000000-0000-4000-8000-000000000000"


def test_numbers_come_back_as_they_are_stored() -> None:
    # Given numbers that single precision cannot hold
    body = points_body([Point(ID, [0.1, 1 / 3], {"text": "solar panels and grids"})])
    (point,) = orjson.loads(body)["points"]
    # Then they are written as short as single precision allows
    assert point["vector"]["dense"] == [0.1, 0.33333334]
    assert len(point["vector"]["words"]["indices"]) == len(point["vector"]["words"]["values"]) == 3
    assert point["vector"]["terms"] == {"indices": point["vector"]["words"]["indices"], "values": [1.0, 1.0, 1.0]}


@pytest.mark.parametrize("text", ["a few words", "x " * 1_000, "東京" * 500])
def test_no_point_is_larger_than_its_estimate(text: str) -> None:
    point = Point(ID, [-1 / 3e10] * 256, {"text": text, "task_id": ID})
    assert len(points_body([point])) < estimated_bytes(point)


def test_what_is_no_text_is_the_rows_fault() -> None:
    with pytest.raises(RowRejected):
        points_body([Point(ID, [0.1], {"text": "half a pair: \ud800"})])

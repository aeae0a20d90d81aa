"""Fixtures of the front door's tests."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.api.door import Door, opened


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """Without keys, with a model."""
    async with opened() as door:
        yield door

"""What the API and the projector say at start when texts cannot be embedded."""

from importlib.machinery import ModuleSpec

import pytest

from codeforge.errors import SettingsError
from codeforge.settings import Settings, load_settings
from codeforge.wiring import embeddings
from codeforge.wiring.embeddings import check_dimension, check_embeddings


@pytest.fixture
def lean(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without the `embedded` extra, as in the production images."""

    def nothing(name: str) -> ModuleSpec | None:
        assert name == "wordllama"
        return None

    monkeypatch.setattr(embeddings, "find_spec", nothing)


def line(settings: Settings) -> str:
    with pytest.raises(SettingsError) as raised:
        check_embeddings(settings)
    return raised.value.message


@pytest.mark.usefixtures("lean")
def test_without_a_service_and_without_the_package_one_line_names_the_setting() -> None:
    said = line(load_settings())
    assert said.startswith("CODEFORGE_EMBEDDINGS_BASE_URL: ")
    assert "\n" not in said


@pytest.mark.usefixtures("lean")
def test_a_service_needs_no_package() -> None:
    check_embeddings(load_settings({"EMBEDDINGS_BASE_URL": "http://embeddings", "EMBEDDINGS_MODEL": "m"}))


def test_a_service_needs_a_model() -> None:
    assert line(load_settings({"EMBEDDINGS_BASE_URL": "http://embeddings"})).startswith("CODEFORGE_EMBEDDINGS_MODEL: ")


def test_the_package_needs_no_service() -> None:
    check_embeddings(load_settings())


def test_a_dimension_that_the_package_has_not_is_told_before_anything_starts() -> None:
    with pytest.raises(SettingsError, match=r"^CODEFORGE_EMBEDDINGS_DIM: 100"):
        check_dimension(load_settings({"EMBEDDINGS_DIM": "100"}))
    check_dimension(load_settings({"EMBEDDINGS_DIM": "128"}))
    check_dimension(
        load_settings({"EMBEDDINGS_DIM": "100", "EMBEDDINGS_BASE_URL": "http://e", "EMBEDDINGS_MODEL": "m"})
    )

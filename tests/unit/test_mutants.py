"""The mutants of `tests.faults.mutants` are made of lines that the scripts have."""

import pytest

from tests.faults import mutants


def test_every_mutant_changes_its_script() -> None:
    mutants.check_fit()


def test_mutant_of_a_line_that_is_gone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutants, "MUTANTS", (mutants.Mutant("emit", "nothing", "no such line", ""),))
    with pytest.raises(ValueError, match=r"emit\.lua does not hold 'no such line'"):
        mutants.check_fit()

"""Reading a manifest's fields: every error names the file's resource and the field's path."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, TypeVar

from codeforge.errors import CapacityError

Choice = TypeVar("Choice", bound=StrEnum)

MISSING = object()
_SUFFIXES = {
    **{"n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12},
    **{"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40},
}


def quantity(text: str) -> float:
    """A Kubernetes quantity in its base unit (cores, bytes): `250m`, `1Gi`, `2`. Raises ValueError."""
    number = text.strip().rstrip("numkMGTi")
    suffix = text.strip()[len(number) :]
    if suffix not in _SUFFIXES:
        raise ValueError(f"no quantity: {text!r}")
    return float(number) * _SUFFIXES[suffix]


class Fields:
    """A mapping of a manifest; `where` is its path: `ScaledObject/agent-worker-coding spec.fallback`."""

    def __init__(self, content: object, where: str) -> None:
        if not isinstance(content, dict):
            raise CapacityError(f"{where}: must be a mapping, not {_kind(content)}")
        self._content: dict[str, Any] = content
        self.where = where

    def __contains__(self, name: str) -> bool:
        return self._content.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def wrong(self, name: str, what: str) -> CapacityError:
        """The error for a field."""
        joint = "." if " " in self.where else " "
        return CapacityError(f"{self.where}{joint}{name}: {what}")

    def _get(self, name: str, default: object) -> Any:
        value = self._content.get(name)
        if value is None:
            if default is MISSING:
                raise self.wrong(name, "is missing")
            return default
        return value

    def under(self, name: str) -> "Fields":
        """A mapping within; an empty one where there is none."""
        joint = "." if " " in self.where else " "
        return Fields(self._get(name, {}), f"{self.where}{joint}{name}")

    def each(self, name: str) -> Iterator["Fields"]:
        """The mappings of a list; nothing where there is none."""
        entries = self._get(name, [])
        if not isinstance(entries, list):
            raise self.wrong(name, f"must be a list, not {_kind(entries)}")
        joint = "." if " " in self.where else " "
        for position, entry in enumerate(entries):
            yield Fields(entry, f"{self.where}{joint}{name}[{position}]")

    def text(self, name: str, default: object = MISSING) -> str:
        """A text; numbers are taken as one."""
        value = self._get(name, default)
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise self.wrong(name, f"must be a text, not {_kind(value)}")
        return str(value)

    def number(self, name: str, default: object = MISSING, *, least: float = 0.0) -> float:
        """A number, also as a text, as trigger metadata has them."""
        text = self.text(name, default)
        try:
            value = float(text)
        except ValueError:
            raise self.wrong(name, f"must be a number, not {text!r}") from None
        if not least <= value < float("inf"):
            raise self.wrong(name, f"must be {least:g} or more, not {text}")
        return value

    def whole(self, name: str, default: object = MISSING, *, least: int = 0) -> int:
        """A whole number."""
        value = self.number(name, default, least=least)
        if value != int(value):
            raise self.wrong(name, f"must be a whole number, not {value:g}")
        return int(value)

    def amount(self, name: str, default: object = MISSING) -> float:
        """A quantity, such as `250m` or `1Gi`."""
        text = self.text(name, default)
        try:
            return quantity(text)
        except ValueError:
            raise self.wrong(name, f"must be a quantity such as 250m or 1Gi, not {text!r}") from None

    def choice(self, name: str, choices: type[Choice], default: Choice) -> Choice:
        """One of the words."""
        text = self.text(name, default.value)
        try:
            return choices(text)
        except ValueError:
            raise self.wrong(name, f"must be one of {', '.join(choices)}, not {text!r}") from None


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"

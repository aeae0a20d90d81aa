"""KEDA's `scalingModifiers.formula`: the part of its expression language that adds up triggers.

Supported: numbers, trigger names, `+ - * / %`, comparisons, `a ? b : c`, parentheses, and the functions min, max, sum,
abs, ceil, floor and round. Source: keda.sh, "Scaling modifiers"; the language is expr-lang.org's.
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping

Value = float | bool

_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "min": min,
    "max": max,
    "sum": lambda *values: sum(values),
    "abs": abs,
    "ceil": math.ceil,
    "floor": math.floor,
    "round": round,
}
_CHOICE = re.compile(r"^(?P<test>[^?:]+)\?(?P<then>[^?:]+):(?P<other>[^?:]+)$")
MAX_LENGTH = 1_000


class FormulaError(ValueError):
    """The formula cannot be evaluated; the message says what about it."""


class Formula:
    """A formula that was read; `names` are the triggers that it asks for."""

    def __init__(self, text: str) -> None:
        """Raises FormulaError."""
        self.text = text
        if len(text) > MAX_LENGTH:
            raise FormulaError(f"longer than {MAX_LENGTH} characters")
        choice = _CHOICE.match(text)
        source = "({then}) if ({test}) else ({other})".format(**choice.groupdict()) if choice else text
        try:
            self._tree = ast.parse(source.strip(), mode="eval").body
        except (SyntaxError, ValueError) as error:
            raise FormulaError(f"cannot be read: {text!r}") from error
        called = {id(node.func) for node in ast.walk(self._tree) if isinstance(node, ast.Call)}
        self.names = frozenset(
            node.id for node in ast.walk(self._tree) if isinstance(node, ast.Name) and id(node) not in called
        )
        _evaluate(self._tree, dict.fromkeys(self.names, 1.0))

    def value(self, triggers: Mapping[str, float]) -> float:
        """Its value with these triggers. Raises FormulaError, for a division by zero too."""
        try:
            return float(_evaluate(self._tree, triggers))
        except ZeroDivisionError as error:
            raise FormulaError(f"divides by zero: {self.text!r}") from error


def _evaluate(node: ast.expr, triggers: Mapping[str, float]) -> Value:
    match node:
        case ast.Constant(value=bool() | int() | float() as value):
            return value
        case ast.Name(id=name):
            if name not in triggers:
                raise FormulaError(f"there is no trigger named {name!r}")
            return triggers[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand, triggers)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_evaluate(left, triggers), _evaluate(right, triggers))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
            return _COMPARISONS[type(op)](_evaluate(left, triggers), _evaluate(right, triggers))
        case ast.IfExp(test=test, body=body, orelse=other):
            return _evaluate(body if _evaluate(test, triggers) else other, triggers)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](*(_evaluate(argument, triggers) for argument in arguments))
        case _:
            raise FormulaError(f"this part is not supported: {ast.unparse(node)!r}")

"""What stands in a PromQL expression."""

from collections.abc import Iterator
from typing import Any

import promql_parser

HOLDERS = (promql_parser.AggregateExpr, promql_parser.ParenExpr, promql_parser.UnaryExpr, promql_parser.SubqueryExpr)


def metrics_in(expression: str) -> set[str]:
    """The names of the metrics that it reads. Raises ValueError when it is no PromQL."""
    return {selector.name for selector in _selectors(promql_parser.parse(expression))}


def _selectors(node: Any) -> Iterator[Any]:
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    elif isinstance(node, promql_parser.MatrixSelector):
        yield node.vector_selector
    elif isinstance(node, promql_parser.BinaryExpr):
        yield from _selectors(node.lhs)
        yield from _selectors(node.rhs)
    elif isinstance(node, promql_parser.Call):
        for argument in node.args:
            yield from _selectors(argument)
    elif isinstance(node, HOLDERS):
        yield from _selectors(node.expr)

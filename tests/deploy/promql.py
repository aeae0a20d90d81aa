"""What stands in a PromQL expression."""

from collections.abc import Iterator
from typing import Any

import promql_parser

HOLDERS = (promql_parser.ParenExpr, promql_parser.UnaryExpr, promql_parser.SubqueryExpr)


def metrics_in(expression: str) -> set[str]:
    """The names of the metrics that it reads. Raises ValueError when it is no PromQL."""
    return {metric for metric, _ in aggregations(expression)}


def aggregations(expression: str) -> Iterator[tuple[str, str | None]]:
    """Each metric that it reads, with the aggregation that gets it first. Raises ValueError when it is no PromQL."""
    return _walked(promql_parser.parse(expression), None)


def _walked(node: Any, innermost: str | None) -> Iterator[tuple[str, str | None]]:
    if isinstance(node, promql_parser.VectorSelector):
        yield str(node.name), innermost
    elif isinstance(node, promql_parser.MatrixSelector):
        yield str(node.vector_selector.name), innermost
    elif isinstance(node, promql_parser.AggregateExpr):
        yield from _walked(node.expr, str(node.op))
    elif isinstance(node, promql_parser.BinaryExpr):
        yield from _walked(node.lhs, innermost)
        yield from _walked(node.rhs, innermost)
    elif isinstance(node, promql_parser.Call):
        for argument in node.args:
            yield from _walked(argument, innermost)
    elif isinstance(node, HOLDERS):
        yield from _walked(node.expr, innermost)

"""When the result of one analysis answers another one.

The questions must have the same words in the same order, over the same sources; the earlier one must have gone at least
as deep and have come to something. How near two questions are in meaning decides nothing: see docs/adr/0017.
"""

import unicodedata
from collections.abc import Sequence

from codeforge.identity import stable_id
from codeforge.inputs import MAX_DEPTH, AnalysisInput
from codeforge.results import AnalysisResult
from codeforge.urls import canonical_url

SPOILT = frozenset(
    {"budget_limited", "no_sources", "no_plan", "claims_not_checked"}
    | {"search_unavailable", "search_rate_limited", "search_bad_output"}
)
"""Warnings of a result that is less than was asked for."""

# Typographic quotation marks, dashes and the minus sign in their plain spelling; what has no width is nothing.
_PLAIN = (
    dict.fromkeys((0x2018, 0x2019, 0x201A, 0x201B), "'")
    | dict.fromkeys((0x201C, 0x201D, 0x201E, 0x201F), '"')
    | dict.fromkeys((0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2015, 0x2212), "-")
    | dict.fromkeys((0x00AD, 0x200B, 0x2060, 0xFEFF), "")
)


def wording(question: str) -> str:
    """The question without what does not change it: case, white space, typography, and the mark at its end. All else
    may: "5 - 3" is not "5 3", nor "C++" "C", nor "hepatitis A" "hepatitis"."""
    plain = unicodedata.normalize("NFC", question).translate(_PLAIN).casefold()
    return " ".join(plain.split()).rstrip("?. ")


def key_of(asked: AnalysisInput) -> str:
    """What an analysis is found by, when it is to answer others."""
    return _key(asked, asked.depth)


def keys_for(asked: AnalysisInput) -> Sequence[str]:
    """The keys of those that may answer it: of its own depth and of every greater one."""
    return [_key(asked, depth) for depth in range(asked.depth, MAX_DEPTH + 1)]


def answers_others(result: AnalysisResult) -> bool:
    """Whether the result is worth having again: its own work, with something in it that its sources bear out, and
    nothing that was left out. What was itself taken over would be of an unknown age."""
    supported = any(claim.supported for claim in result.claims)
    return supported and result.reused is None and SPOILT.isdisjoint(notice.code for notice in result.warnings)


def _key(asked: AnalysisInput, depth: int) -> str:
    urls = sorted({canonical_url(url) for url in asked.urls})
    return stable_id("answers", wording(asked.question), asked.search, str(depth), *urls)

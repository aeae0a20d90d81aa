"""A report as Markdown. Sources are cited by number, and only where a statement was found to stand in them."""

from collections.abc import Sequence

from codeforge.results import Contradiction
from workers.report import Draft, sources_of, with_citations, without_citations

NOTHING_SUPPORTED = "No statement about the question was found to stand in a source."
EXTRACTS = "The budget left no room for a report by a model. These sentences of the sources bear on the question:"
NO_EXTRACTS = "The budget left no room for a report by a model, and no sentence of the sources shares its words."
UNSUPPORTED = "## Not supported by the sources"
DISAGREEMENTS = "## Where the sources disagree"


def markdown_of(draft: Draft) -> str:
    """Paragraphs of what is supported; below them what is not, without citations, and where sources disagree."""
    supported = [one for one in draft.statements if one.found]
    paragraphs: list[str] = []
    for one in supported:
        sentence = with_citations(one.text, sources_of(one.found))
        if paragraphs and not one.begins_paragraph:
            paragraphs[-1] += f" {sentence}"
        else:
            paragraphs.append(sentence)
    if not draft.by_model:
        paragraphs.insert(0, EXTRACTS if supported else NO_EXTRACTS)
    elif not supported:
        paragraphs.append(NOTHING_SUPPORTED)
    if draft.contradictions:
        paragraphs += [DISAGREEMENTS, "\n".join(map(_disagreement, draft.contradictions))]
    unsupported = [one for one in draft.statements if not one.found]
    if unsupported:
        paragraphs += [UNSUPPORTED, "\n".join(f"- {_line(one.text)}" for one in unsupported)]
    return "\n\n".join(paragraphs)


def _disagreement(contradiction: Contradiction) -> str:
    quotes = [f"\u201c{_line(without_citations(span.quote))}\u201d [{span.source}]" for span in contradiction.spans]
    return f"- {_line(contradiction.text)} {'; '.join(quotes)}"


def _line(text: str) -> str:
    return " ".join(text.split())


def joined(paragraphs: Sequence[str]) -> str:
    """The paragraphs as Markdown; blank ones left out."""
    return "\n\n".join(text for paragraph in paragraphs if (text := paragraph.strip()))

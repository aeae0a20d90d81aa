"""What the client asked for, as a title for what was found."""

from pydantic import BaseModel, ConfigDict

from codeforge.records.model import MAX_TITLE_CHARS
from codeforge.task import Task


class _Asked(BaseModel):
    """The fields of any type's input that say what the task is about."""

    model_config = ConfigDict(extra="ignore")

    question: str = ""
    prompt: str = ""
    language: str = ""


def question_of(task: Task) -> str:
    """The input's question, or a coding task's prompt, on one line of at most MAX_TITLE_CHARS characters; "" where
    there is none. Raises pydantic.ValidationError when the input is no JSON object."""
    asked = _Asked.model_validate_json(task.input)
    return " ".join((asked.question or asked.prompt).split())[:MAX_TITLE_CHARS]


def language_of(task: Task) -> str:
    """A coding task's language, "" where it names none. Raises as `question_of` does."""
    return _Asked.model_validate_json(task.input).language

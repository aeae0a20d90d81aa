"""How the embedded server refuses a request: Qdrant's statuses and wording."""

from codeforge.errors import RequestError


class Refusal(RequestError):
    """A request that is not carried out. `status` is the HTTP status, the message goes into `status.error`.

    Qdrant answers 400 to what it cannot understand or do, 404 to an unknown collection, 409 to one that is there
    already, 413 to an over-long body, and 422 to a value that is well-formed but not valid.
    """

    code = "refused"

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def wrong_input(message: str) -> Refusal:
    """400: understood, but it does not fit the collection."""
    return Refusal(400, f"Wrong input: {message}")


def malformed(message: str) -> Refusal:
    """400: the body is no such request, or asks for something that this server does not do."""
    return Refusal(400, f"Format error in JSON body: {message}")


def invalid(message: str) -> Refusal:
    """422: a value of the body breaks a rule."""
    return Refusal(422, f"Validation error in JSON body: [{message}]")


def no_collection(name: str) -> Refusal:
    """404: there is no collection of that name."""
    return Refusal(404, f"Not found: Collection `{name}` doesn't exist!")


def vector_missing(name: str) -> Refusal:
    """400: the collection has no vector of that name."""
    return wrong_input(f"Not existing vector name error: {name}")


def dimension_differs(expected: int, got: int) -> Refusal:
    """400: a vector of another length than the collection's."""
    return wrong_input(f"Vector dimension error: expected dim: {expected}, got {got}")

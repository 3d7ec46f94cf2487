"""What foreign chat models need of a `Model`: one answer as pieces, whole or refused, with calls that can be told apart."""

from collections.abc import Iterator
from uuid import uuid4

from sadari.errors import ModelError
from sadari.types import Delta, Generation, Model, Request, StreamingModel


def answer_to(model: Model, request: Request) -> Generation:
    """The answer.

    Raises:
        ModelError: If there is none.
    """
    (made,) = model.generate([request])
    return _checked(made)


def pieces_of(model: Model, request: Request) -> Iterator[Delta]:
    """The answer as it is written, the whole of it last; all at once from a model that does not stream.

    Raises:
        ModelError: If there is none.
    """
    if isinstance(model, StreamingModel):
        for piece in model.stream(request):
            if piece.done is not None:
                _checked(piece.done)
            yield piece
        return
    made = answer_to(model, request)
    yield Delta(made.text)
    yield from (Delta(tool_call=call) for call in made.tool_calls)
    yield Delta(done=made)


def unique_id() -> str:
    """An id for a call. Models number the calls of each answer anew; frameworks look for the result of one in all of them.

    Nine letters and digits, since some chat templates take no other.
    """
    return uuid4().hex[:9]


def _checked(made: Generation) -> Generation:
    if made.error is not None:
        raise ModelError(made.error)
    return made

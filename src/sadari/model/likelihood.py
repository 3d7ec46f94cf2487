"""How probable a local model finds given text: the log-probabilities of its tokens, each after those before it."""

from collections.abc import Sequence

from sadari.errors import ModelError
from sadari.model.chat import encode, render_training
from sadari.model.engine import Row
from sadari.model.local import LocalModel
from sadari.types import Message


def text_log_probabilities(model: LocalModel, texts: Sequence[str]) -> list[list[float]]:
    """The log-probability of every token of each text, in nats; () for an empty text.

    The first token follows the model's beginning-of-text token, or a line break where it has none.

    Raises:
        ModelError: If a text does not fit the context, or the model's scores are not finite.
    """
    bos = model.tokenizer.bos_token_id
    opening = [bos] if bos is not None else encode(model.tokenizer, "\n")
    rows = [[*opening, *encode(model.tokenizer, text)] for text in texts]
    return [found[len(opening) - 1 :] for found in _log_probabilities(model, rows)]


def answer_log_probabilities(model: LocalModel, conversations: Sequence[Sequence[Message]]) -> list[float]:
    """The log-probability of each conversation's assistant turns given what stands before them, in nats, end of turn included.

    Rendered as in training: a row that was trained on is asked about as it stood there.

    Raises:
        DataError: If the chat template refuses a conversation, or no turn of it is the assistant's.
        ModelError: If a conversation does not fit the context, or the model's scores are not finite.
    """
    rendered = [render_training(model.tokenizer, messages, row="a conversation") for messages in conversations]
    found = _log_probabilities(model, [row.ids for row in rendered])
    return [
        sum(p for p, weight in zip(row, told.weights[1:], strict=True) if weight > 0)
        for row, told in zip(found, rendered, strict=True)
    ]


def _log_probabilities(model: LocalModel, texts: Sequence[Sequence[int]]) -> list[list[float]]:
    """The log-probability of every token but the first of each text."""
    longest = max(map(len, texts), default=0)
    if model.context is not None and longest > model.context:
        raise ModelError(
            f"a text of {longest} tokens does not fit the context of {model.name} ({model.context} tokens). Shorten it."
        )
    rows = [Row(ids, scored=max(0, len(ids) - 1)) for ids in texts]
    model.engine.run([row for row in rows if row.scored])
    failed = next((row.error for row in rows if row.error), None)
    if failed:
        raise ModelError(f"{model.name}: {failed}")
    return [[chosen.log_probability for chosen in row.chosen] for row in rows]

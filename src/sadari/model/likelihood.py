"""How probable a local model finds given text: the log-probabilities of its tokens, each after those before it.

Rows are padded on the right, where a causal model never looks from the left; so a batch gives what single rows give.
"""

from collections.abc import Sequence

import torch

from sadari.errors import ModelError
from sadari.model.chat import encode, render_training
from sadari.model.local import LocalModel, _as_served
from sadari.types import Message

SCORES_BYTES = 64 * 2**20
"""Most memory for the scores of one batch; what fits the processor's cache is faster than what does not."""


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


def _log_probabilities(model: LocalModel, rows: Sequence[Sequence[int]]) -> list[list[float]]:
    """The log-probability of every token but the first of each row."""
    longest = max(map(len, rows), default=0)
    if model.context is not None and longest > model.context:
        raise ModelError(
            f"a text of {longest} tokens does not fit the context of {model.name} ({model.context} tokens). Shorten it."
        )
    found: list[list[float]] = [[] for _ in rows]
    with _as_served(model.model):
        for batch in _batches(model, rows):
            for index, values in zip(batch, _of_batch(model, [rows[i] for i in batch]), strict=True):
                found[index] = values
    return found


def _batches(model: LocalModel, rows: Sequence[Sequence[int]]) -> list[list[int]]:
    """Positions of rows of like length, padded tokens and their scores within the budgets of memory."""
    vocabulary = model.model.get_output_embeddings().weight.shape[0]
    most = max(1, min(model.batch_tokens, SCORES_BYTES // (4 * vocabulary)))
    batches: list[list[int]] = []
    for index in sorted((i for i, row in enumerate(rows) if len(row) > 1), key=lambda i: (len(rows[i]), i)):
        if not batches or (len(batches[-1]) + 1) * len(rows[index]) > most:
            batches.append([])
        batches[-1].append(index)
    return batches


def _of_batch(model: LocalModel, rows: Sequence[Sequence[int]]) -> list[list[float]]:
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], device=model.model.device)
    logits = model.model(input_ids=ids, use_cache=False, **model.before(len(rows), width)).logits[:, :-1].float()
    chosen = logits.gather(-1, ids[:, 1:, None])[..., 0] - logits.logsumexp(-1)
    values = [line[: len(row) - 1] for line, row in zip(chosen.tolist(), rows, strict=True)]
    if not all(v == v and abs(v) != float("inf") for line in values for v in line):
        raise ModelError(f"{model.name}: the scores are not finite. Its weights are damaged, or its training diverged.")
    return values

"""The vocabulary and the chat template of a GGUF file, in the shape of a tokenizer of `transformers`."""

from collections.abc import Sequence
from typing import Any

from sadari.model.llamacpp.native import Native


class GgufTokenizer:
    """What sadari asks of a tokenizer, answered by llama.cpp; the template is rendered as `transformers` renders it, in a sandbox.

    Args:
        native: The file, loaded.
    """

    is_fast = False

    def __init__(self, native: Native) -> None:
        api, vocab = native.api, native.vocab
        self._native = native
        self.name_or_path = str(native.path)
        self.chat_template = native.template
        self.pieces = [native.piece(token) for token in range(native.vocabulary)]
        """The bytes of each token."""
        attributes = [api.llama_vocab_get_attr(vocab, token) for token in range(native.vocabulary)]
        marks = api.LLAMA_TOKEN_ATTR_CONTROL | api.LLAMA_TOKEN_ATTR_USER_DEFINED
        self.all_special_ids = [token for token, flags in enumerate(attributes) if flags & api.LLAMA_TOKEN_ATTR_CONTROL]
        self.added_tokens_decoder = {token: self.convert_ids_to_tokens(token) for token, f in enumerate(attributes) if f & marks}
        self.bos_token_id, self.eos_token_id = _id(api.llama_vocab_bos(vocab)), _id(api.llama_vocab_eos(vocab))
        self.end_ids = [token for token in range(native.vocabulary) if api.llama_vocab_is_eog(vocab, token)]
        """Every token that ends an answer."""

    def __call__(self, text: str | Sequence[str], add_special_tokens: bool = False) -> dict[str, Any]:
        """Token ids of one text or several, as `input_ids`; special tokens that stand in them are read as such."""
        tokenize = self._native.tokenize
        return {"input_ids": tokenize(text) if isinstance(text, str) else [tokenize(one) for one in text]}

    def decode(self, ids: Sequence[int], **settings: Any) -> str:
        """The text of tokens, special ones included; bytes that are no character become U+FFFD."""
        return b"".join(self.pieces[token] for token in ids).decode(errors="replace")

    def convert_ids_to_tokens(self, token: int) -> str:
        """One token as text."""
        return self.pieces[token].decode(errors="replace")

    def convert_tokens_to_ids(self, token: str) -> int | None:
        """The token of this very text; None if there is none."""
        ids = self._native.tokenize(token)
        return ids[0] if len(ids) == 1 and self.pieces[ids[0]] == token.encode() else None

    def __len__(self) -> int:
        return len(self.pieces)

    def guidance(self, ends: Sequence[int]) -> Any:
        """The vocabulary as llguidance takes it, for constrained answers that `ends` end."""
        from llguidance.llamacpp import lltokenizer_from_vocab

        return lltokenizer_from_vocab(self._native.vocab, eos_token=list(ends))

    def get_added_vocab(self) -> dict[str, int]:
        """Tokens that were added to the vocabulary, markers among them, with their ids."""
        return {text: token for token, text in self.added_tokens_decoder.items()}

    def apply_chat_template(
        self,
        messages: list[dict[str, Any]],
        *,
        tools: list[dict[str, Any]] | None = None,
        tokenize: bool = False,
        add_generation_prompt: bool = False,
        **settings: Any,
    ) -> str:
        """The conversation as the text that the template makes of it; settings go to the template."""
        from transformers.utils.chat_template_utils import render_jinja_template

        ends = {
            name: self.pieces[token].decode(errors="replace")
            for name, token in (("bos_token", self.bos_token_id), ("eos_token", self.eos_token_id))
            if token is not None
        }
        rendered, _ = render_jinja_template(
            [messages],
            tools=tools,
            chat_template=self.chat_template,
            add_generation_prompt=add_generation_prompt,
            **ends,
            **settings,
        )
        return str(rendered[0])


def _id(token: int) -> int | None:
    return None if token < 0 else int(token)

"""Any causal language model of `transformers`, in this process."""

import threading
from pathlib import Path
from typing import Any

import torch

from sadari.model.adapters import Adapters, put_in_adapter
from sadari.model.answering import AnsweringModel
from sadari.model.engine import Limits, TorchEngine
from sadari.model.prefix import VirtualPrefix, cache_with, key_values_before
from sadari.model.speech import Speech
from sadari.model.weights import Precision, load_tokenizer, load_weights, resolve, unscaled_positions

ACCELERATED = Limits(rows=256, step_tokens=4096)
"""An accelerator needs this much at once to be busy."""


class LocalModel(AnsweringModel):
    """A model that runs here, on the accelerator if there is one.

    In float32 a request gives token for token what it gives alone, whatever runs beside it, up to ties within rounding error.

    Args:
        path_or_name: "mini", a folder, or a Hugging Face name (with HF_HUB_OFFLINE=1 only from the local cache).
        adapter: Folder of an adapter: of PEFT, or of bottleneck adapters (`adapters.py` says how each is put in).
        precision: Of the weights and the arithmetic; "nf4" needs the extra `qlora`.
        threads: Torch threads of this process; None leaves them.
        cache_bytes: Most memory for keys and values, of requests under each adapter; None is a GiB, eight on an accelerator.
        limits: How many requests and tokens are computed together, and how many may wait.

    Raises:
        ModelError: If the model, its tokenizer or the adapter cannot be had, do not fit together, or are damaged.
    """

    def __init__(
        self,
        path_or_name: str | Path,
        adapter: str | Path | None = None,
        precision: Precision = "float32",
        threads: int | None = None,
        *,
        cache_bytes: int | None = None,
        limits: Limits | None = None,
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self._name = str(path_or_name)
        self._source = resolve(self._name)
        self.tokenizer = load_tokenizer(self._source)
        self.model = load_weights(self._source, precision)
        self.prefix: VirtualPrefix | None = None
        """Learnt vectors that stand before every row; whoever trains them sets it, and answers follow the training."""
        own = {name for name, _ in self.model.named_parameters()}
        if adapter is not None:
            self.model, self.prefix = put_in_adapter(self.model, self._source, Path(adapter))
        self.is_merged = self.prefix is None and own == {name for name, _ in self.model.named_parameters()}
        """Whether the weights of `model` alone answer as this model does: no adapter stands beside them or before the rows."""
        self.model.eval()
        is_accelerated = self.model.device.type == "cuda"
        self._cache_bytes = cache_bytes or (8 if is_accelerated else 1) * 2**30
        self._limits = limits or (ACCELERATED if is_accelerated else Limits())
        self._adapters = Adapters(self._source)
        self._engine: TorchEngine | None = None
        self._making = threading.Lock()
        self.speech = Speech(self.tokenizer, (self.model.generation_config, self.model.config))

    @property
    def name(self) -> str:
        """How the model was asked for."""
        return self._name

    @property
    def context(self) -> int | None:
        """Most tokens of prompt and answer together; None if the model does not say."""
        positions = unscaled_positions(self.model.config.get_text_config(decoder=True))
        return None if positions is None else positions - (self.prefix.length if self.prefix else 0)

    @property
    def engine(self) -> TorchEngine:
        """What computes; a new one where the model or what stands before its rows was exchanged."""
        with self._making:
            engine = self._engine
            if engine is None or engine.model is not self.model or engine.prefix is not self.prefix:
                engine = TorchEngine(self.model, self.prefix, self._cache_bytes, self._limits, self._adapters.switch)
                self._engine = engine
            return engine

    def add_adapter(self, name: str, folder: str | Path) -> None:
        """Let requests name an adapter, which is put into the layers while they are computed.

        Raises:
            ModelError: If the folder holds no adapter for this model, or one that cannot be exchanged between requests.
        """
        with self.engine.paused():
            self._adapters.add(self.model, name, Path(folder))

    def require_adapter(self, name: str | None) -> None:
        """Refuse an adapter that was not added.

        Raises:
            ModelError: If it was not.
        """
        self._adapters.require(name)

    def before(self, rows: int) -> dict[str, Any]:
        """What a forward pass of one's own over `rows` rows has to be given besides them: the learnt vectors, if any."""
        return {} if self.prefix is None else {"past_key_values": cache_with(key_values_before(self.model, self.prefix), rows)}

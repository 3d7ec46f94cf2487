"""Adapter folders: what training has written is read, checked against the model, and put into it.

LoRA, IA3 and what else PEFT puts into layers is merged into the weights, unless they are in four bits: then it stays beside them,
as it was trained. Bottleneck adapters are put into the blocks. Prompt and prefix tuning become a `VirtualPrefix`.

Covered: a folder of another model, of another shape, cut off, with parts missing, or whose weights do not bear out its settings.
Not covered: an adapter that was trained to do harm; its answers are what they are.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from sadari.errors import ModelError
from sadari.files import write_text
from sadari.model.bottleneck import put_in_bottlenecks
from sadari.model.prefix import VirtualPrefix, attends_plainly, unpack_key_values

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
BASE_RECORD = "base_model.json"
"""Beside the files of PEFT: the fingerprint of the model that the adapter was trained on."""

BOTTLENECK = "BOTTLENECK"
"""`peft_type` of folders that PEFT does not know: adapter_config.json holds `width`, `style` and `base_model_name_or_path`;
adapter_model.safetensors holds `down.weight`, `down.bias`, `up.weight` and `up.bias` of each adapter by its name in the model."""

SOFT_PROMPTS = ("PROMPT_TUNING", "PREFIX_TUNING")

CONFIG_BYTES = 2**20
"""A longer adapter_config.json is no such file."""

FINGERPRINT_BYTES = 2**20
"""Read from either end of a weight file to tell two models apart."""

REMEDY = "Give the folder that training wrote, or train the adapter again."


@dataclass(frozen=True, slots=True)
class _Folder:
    """An adapter folder whose files can be read."""

    path: Path
    settings: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]

    @property
    def kind(self) -> str:
        return str(self.settings.get("peft_type", "")).upper()

    def weights(self) -> dict[str, Tensor]:
        from safetensors.torch import load_file

        stored: dict[str, Tensor] = load_file(str(self.path / WEIGHTS))
        return stored

    def misfit(self, why: str) -> ModelError:
        return ModelError(f"{self.path}: the adapter does not fit the model ({why}). {REMEDY}")


class Adapters:
    """Adapters of one model that requests may name; at most one is in the layers at a time.

    Args:
        source: Folder or hub name that the model was loaded from.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._wrapped: Any = None
        self._names: dict[str, str] = {}
        """By how requests name them, how PEFT does, which makes them attributes of modules: `half` is one already."""

    def add(self, model: Any, name: str, path: Path) -> None:
        """Read an adapter and lay it beside the layers of `model`, out of use.

        Raises:
            ModelError: If the name is taken, the folder holds no adapter for this model, or one that does not stand in layers.
        """
        from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict

        if name in self._names:
            raise ModelError(f"adapter {name!r} is there already. Give {path} another name.")
        folder = _read_folder(path)
        _require_base(folder, self._source)
        if folder.kind == BOTTLENECK or folder.kind in SOFT_PROMPTS:
            raise ModelError(
                f"{path}: {folder.kind} adapters are not exchanged between requests. Load it with the model: adapter=."
            )
        config = _peft_config(folder)
        if getattr(config, "bias", "none") != "none":
            raise ModelError(f"{path}: it changes biases of the base, which all requests share. Load it with the model: adapter=.")
        wrapped, inside = self._wrapped, f"adapter_{len(self._names)}"
        try:
            if wrapped is None:
                wrapped = PeftModel(model, config, adapter_name=inside)
            else:
                wrapped.add_adapter(inside, config)
            needed = get_peft_model_state_dict(wrapped, adapter_name=inside)
            if {key: tuple(value.shape) for key, value in needed.items()} != dict(folder.shapes):
                raise folder.misfit(f"its weights are not those that {self._source} needs")
            set_peft_model_state_dict(wrapped, folder.weights(), adapter_name=inside)
        except Exception as e:
            if wrapped is not None and wrapped is self._wrapped and inside in wrapped.peft_config:
                wrapped.delete_adapter(inside)
            elif wrapped is not None and self._wrapped is None:
                wrapped.unload()
            self.switch(None)
            raise e if isinstance(e, ModelError) else _no_fit(folder, self._source, e) from e
        self._wrapped = wrapped.eval()
        self._names[name] = inside
        self.switch(None)

    def require(self, name: str | None) -> None:
        """Refuse a name that was not added.

        Raises:
            ModelError: If there is no such adapter.
        """
        if name is not None and name not in self._names:
            there = ", ".join(self._names) or "none"
            raise ModelError(f"there is no adapter {name!r}; there are: {there}. Add it first, or leave it out.")

    def switch(self, name: str | None) -> None:
        """Put one adapter into the layers; None takes it out."""
        if self._wrapped is None:
            return
        if name is None:
            self._wrapped.base_model.disable_adapter_layers()
        else:
            self._wrapped.set_adapter(self._names[name])
            self._wrapped.base_model.enable_adapter_layers()
        self._wrapped.requires_grad_(False)  # PEFT takes an active adapter for one to be trained


def put_in_adapter(model: Any, source: str, path: Path) -> tuple[Any, VirtualPrefix | None]:
    """Make `model` answer as it did when the adapter was saved.

    Args:
        model: A causal language model of `transformers`, as loaded; it is changed.
        source: Folder or hub name that it was loaded from.
        path: The adapter folder.

    Returns:
        The model to use from now on, and what stands before every row, if anything does.

    Raises:
        ModelError: If the folder holds no adapter, cannot be read, or was trained on another model; names the folder.
    """
    folder = _read_folder(path)
    _require_base(folder, source)
    if folder.kind == BOTTLENECK:
        _load_bottlenecks(model, folder)
        return model, None
    if folder.kind in SOFT_PROMPTS:
        return model, _soft_prompt(model, folder)
    return _with_layers(model, source, folder), None


def _read_folder(path: Path) -> _Folder:
    from safetensors import safe_open

    if not (path / CONFIG).is_file() or not (path / WEIGHTS).is_file():
        raise ModelError(f"{path}: not an adapter: {CONFIG} and {WEIGHTS} have to be in it. {REMEDY}")
    try:
        with (path / CONFIG).open("rb") as file:
            settings = json.loads(file.read(CONFIG_BYTES))
        if not isinstance(settings, dict):
            raise ValueError(f"{CONFIG} holds no object")
        with safe_open(str(path / WEIGHTS), framework="pt") as stored:
            shapes = {name: tuple(stored.get_slice(name).get_shape()) for name in stored.keys()}  # noqa: SIM118 - no mapping
    except Exception as e:  # safetensors raises its own
        raise ModelError(f"{path}: the adapter cannot be read ({str(e).splitlines()[0]}). {REMEDY}") from e
    return _Folder(path, settings, shapes)


# --- what each kind is -----------------------------------------------------------------------------------------------------


def _with_layers(model: Any, source: str, folder: _Folder) -> Any:
    """What PEFT puts into layers; merged, unless the model is in four bits."""
    from peft import PeftModel, get_peft_model_state_dict

    _peft_config(folder)
    try:
        wrapped = PeftModel.from_pretrained(model, str(folder.path))
    except Exception as e:
        raise _no_fit(folder, source, e) from e
    if set(folder.shapes) != set(get_peft_model_state_dict(wrapped)):
        raise ModelError(
            f"{folder.path}: the adapter's weights are not those that {source} needs: it was trained on another model. {REMEDY}"
        )
    if getattr(model, "is_loaded_in_4bit", False):
        return wrapped.get_base_model()
    return wrapped.merge_and_unload()


def _peft_config(folder: _Folder) -> Any:
    """The settings as PEFT reads them, refused before memory is set aside if the weights do not bear them out."""
    from peft import PeftConfig

    try:
        config = PeftConfig.from_pretrained(str(folder.path))
        ranks = [getattr(config, "r", None) or 0, *(getattr(config, "rank_pattern", None) or {}).values()]
        asked = max(map(int, ranks))
    except Exception as e:
        raise ModelError(f"{folder.path}: the adapter cannot be read ({str(e).splitlines()[0]}). {REMEDY}") from e
    if config.is_prompt_learning:
        raise ModelError(
            f"{folder.path}: {folder.kind} adapters cannot be served. Train prompt_tuning, prefix or lora instead of it."
        )
    if asked > max((n for shape in folder.shapes.values() for n in shape), default=0):
        raise folder.misfit(f"{CONFIG} says rank {asked}, but no weight has that size")
    return config


def _no_fit(folder: _Folder, source: str, e: Exception) -> ModelError:
    return ModelError(
        f"{folder.path}: the adapter does not fit {source} ({str(e).splitlines()[0]}). Load it over the model it was trained on."
    )


def _load_bottlenecks(model: Any, folder: _Folder) -> None:
    width, style = folder.settings.get("width"), folder.settings.get("style")
    downs = [shape for name, shape in folder.shapes.items() if name.endswith(".down.weight")]
    if style not in ("pfeiffer", "houlsby") or not downs or downs[0][0] != width:
        raise folder.misfit(f"{CONFIG} says style {style!r} and width {width!r}, which its weights do not bear out")
    adapters = put_in_bottlenecks(model, int(width), style)
    needed = {f"{name}.{part}": p for name, adapter in adapters.items() for part, p in adapter.named_parameters()}
    wrong = sorted({n for n, p in needed.items() if folder.shapes.get(n) != tuple(p.shape)} | (set(folder.shapes) - set(needed)))
    if wrong:
        raise folder.misfit(f"{len(wrong)} weights are missing, left over or of another shape, {wrong[0]} among them")
    for name, value in folder.weights().items():
        needed[name].data.copy_(value)
    for adapter in adapters.values():
        adapter.requires_grad_(False)


def _soft_prompt(model: Any, folder: _Folder) -> VirtualPrefix:
    """Prompt or prefix tuning, at rest: the vectors do not change any more."""
    if set(folder.shapes) != {"prompt_embeddings"}:
        raise folder.misfit("its weights have to be `prompt_embeddings` alone")
    shape, length = folder.shapes["prompt_embeddings"], folder.settings.get("num_virtual_tokens")
    if len(shape) != 2 or shape[0] != length or not length:
        raise folder.misfit(f"{CONFIG} says {length} virtual tokens, its weights have the shape {shape}")
    require_attention(model, folder.kind)
    table = folder.weights()["prompt_embeddings"].to(model.device, model.dtype)
    if folder.kind == "PROMPT_TUNING":
        width = model.get_input_embeddings().weight.shape[1]
        if shape[1] != width:
            raise folder.misfit(f"its vectors have the width {shape[1]}, the model has {width}")
        return VirtualPrefix(length, embeddings=lambda: table)
    layers, heads, head_width = key_value_shape(model)
    if shape[1] != 2 * layers * heads * head_width or folder.settings.get("num_attention_heads") != heads:
        raise folder.misfit(f"its keys and values have another shape than {layers} layers of {heads} x {head_width}")
    return VirtualPrefix(length, key_values=lambda: unpack_key_values(table, layers, heads))


def require_attention(model: Any, what: str) -> None:
    """Refuse learnt vectors before every row where a row cannot begin with what another has computed.

    Raises:
        ModelError: If the layers keep a running state, or bias attention by distance instead of rotating keys.
    """
    if not attends_plainly(model):
        raise ModelError(
            f"{model.name_or_path}: {what} needs plain attention in every layer, and a {type(model).__name__} has other layers. "
            "Use lora, which needs only linear layers."
        )


def key_value_shape(model: Any) -> tuple[int, int, int]:
    """Layers, heads of keys and values, and width of a head."""
    config = model.config.get_text_config(decoder=True)
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    head_width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(config.num_hidden_layers), int(heads), int(head_width)


# --- which model it was trained on -----------------------------------------------------------------------------------------


def write_base_record(source: str, folder: Path) -> None:
    """Note in an adapter folder which weights it belongs to, if they can be found on this disk."""
    where = _folder_of(source)
    if where is not None:
        write_text(folder / BASE_RECORD, json.dumps({"fingerprint": _fingerprint(where)}) + "\n")


def _require_base(folder: _Folder, source: str) -> None:
    other = _other_base(folder, source)
    if other:
        raise ModelError(
            f"{folder.path}: this adapter was trained on {other}, not on {source}. Load it over the model it was trained on, "
            "or train it again on this one."
        )


def _other_base(folder: _Folder, source: str) -> str | None:
    """The base that the adapter names, if it is surely another one than `source`; a folder may have been moved or copied."""
    recorded = str(folder.settings.get("base_model_name_or_path") or "")
    here = _folder_of(source)
    expected = _recorded_fingerprint(folder.path)
    if expected is None and recorded and recorded != source and Path(recorded).is_dir():
        expected = _fingerprint(Path(recorded))
    if expected is not None and here is not None:
        return (recorded or "another model") if expected != _fingerprint(here) else None
    both_of_hub = [not Path(p).is_dir() and p.count("/") == 1 and not p.startswith((".", "/")) for p in (recorded, source)]
    return recorded if recorded != source and all(both_of_hub) else None


def _recorded_fingerprint(folder: Path) -> str | None:
    if not (folder / BASE_RECORD).is_file():
        return None
    try:
        with (folder / BASE_RECORD).open("rb") as file:
            return str(json.loads(file.read(CONFIG_BYTES))["fingerprint"])
    except (ValueError, TypeError, KeyError) as e:
        raise ModelError(f"{folder}: the adapter cannot be read ({BASE_RECORD} is damaged). {REMEDY}") from e


def _folder_of(source: str) -> Path | None:
    """Where the weights of a model lie on this disk: its folder, or where the hub's cache keeps it."""
    if Path(source).is_dir():
        return Path(source)
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(source, "config.json")
    except HFValidationError:  # neither a folder nor a name
        return None
    return Path(found).parent if isinstance(found, str) else None


def _fingerprint(folder: Path) -> str:
    """What tells two model folders apart: sizes and both ends of the weight files."""
    found = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        size = path.stat().st_size
        found.update(f"{path.name} {size}".encode())
        with path.open("rb") as f:
            found.update(f.read(FINGERPRINT_BYTES))
            f.seek(max(0, size - FINGERPRINT_BYTES))
            found.update(f.read(FINGERPRINT_BYTES))
    return found.hexdigest()

"""Models behind OpenAI-compatible endpoints: vLLM, SGLang, llama-server, Ollama, and clouds."""

from sadari.model.remote.endpoint import Endpoint
from sadari.model.remote.kinds import Kind
from sadari.model.remote.model import RemoteModel
from sadari.model.remote.purse import TokenPrices
from sadari.model.remote.wire import OPENAI_URL

__all__ = ["OPENAI_URL", "Endpoint", "Kind", "RemoteModel", "TokenPrices"]

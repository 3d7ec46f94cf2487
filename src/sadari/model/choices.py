"""Open base models worth trying first: a small table, kept by hand, as of November 2026.

It lists models whose existence, size and licence were checked; many good ones are missing, and newer ones appear every month. What
is said of Korean is what the maker claims, not a measurement: the climb measures. Read the licence of a model before it is served.
Models that run only with program code from the hub (EXAONE 3.5) are left out: such code is never executed here.
"""

from dataclasses import dataclass
from typing import Literal

from sadari.model.shape import ModelShape

AS_OF = "2026-11"
LEAST_PARAMETERS, MOST_PARAMETERS = 1.4e9, 3.3e9
"""Models of this size are tried first: smaller ones seldom write Korean well, larger ones cost several times as much."""

Terms = Literal["open", "conditions", "research"]
"""What a licence allows: anything (Apache-2.0, MIT); commerce on conditions of its own; research alone."""


@dataclass(frozen=True, slots=True)
class BaseModel:
    """One base model.

    Args:
        name: On the Hugging Face hub.
        korean: What its maker claims: "native" (made for Korean), "listed" (one of its languages), "not listed".
        context: Tokens of its native context.
        order: "first" to begin with; "small" where memory or speed is short; "larger" once the gain of a small one is proven.
    """

    name: str
    shape: ModelShape
    licence: str
    terms: Terms
    korean: Literal["native", "listed", "not listed"]
    context: int

    @property
    def order(self) -> Literal["first", "small", "larger"]:
        if self.shape.parameters > MOST_PARAMETERS:
            return "larger"
        return "first" if self.shape.parameters >= LEAST_PARAMETERS else "small"

    @property
    def smallest_memory_gib(self) -> float:
        """GiB of its weights in four bits, embeddings in bfloat16: the least that it runs in."""
        embeddings = self.shape.embedding * (1 if self.shape.is_tied else 2)
        return (0.5625 * self.shape.layers * self.shape.layer_matrices + 2 * embeddings) / 2**30


Licence = Literal["any", "commercial", "open"]
"""What the licence of a base model must allow at least."""


def suggest_models(memory_gib: float, language: Literal["ko", "en"] = "ko", licence: Licence = "any") -> tuple[BaseModel, ...]:
    """Models that run in this memory at least in four bits, the one to try first at the top.

    Order: 1.5 to 3 billion parameters, then smaller, then larger; within each, for Korean, those made for it first; licences that
    allow research alone last.

    Args:
        memory_gib: GiB of the accelerator, or of the machine if it has none.
        language: Of the task; for "ko" a model whose maker does not list Korean is left out.
        licence: "commercial" leaves out what is for research alone, "open" also what sets conditions of its own.
    """
    allowed: dict[str, tuple[Terms, ...]] = {
        "any": ("open", "conditions", "research"),
        "commercial": ("open", "conditions"),
        "open": ("open",),
    }
    fitting = [
        model
        for model in BASE_MODELS
        if model.smallest_memory_gib <= memory_gib
        and model.terms in allowed[licence]
        and (language != "ko" or model.korean != "not listed")
    ]
    orders, tongues = ("first", "small", "larger"), ("native", "listed", "not listed")

    def rank(model: BaseModel) -> tuple[int, bool, int, int]:
        closeness = tongues.index(model.korean) if language == "ko" else 0
        return orders.index(model.order), model.terms == "research", closeness, model.shape.parameters

    return tuple(sorted(fitting, key=rank))


BASE_MODELS = (
    BaseModel("Qwen/Qwen3-0.6B", ModelShape(28, 1024, 3072, 2048, 1024, 151936), "Apache-2.0", "open", "listed", 32768),
    BaseModel("Qwen/Qwen3-1.7B", ModelShape(28, 2048, 6144, 2048, 1024, 151936), "Apache-2.0", "open", "listed", 32768),
    BaseModel("Qwen/Qwen3-4B", ModelShape(36, 2560, 9728, 4096, 1024, 151936), "Apache-2.0", "open", "listed", 32768),
    BaseModel(
        "Qwen/Qwen3-8B", ModelShape(36, 4096, 12288, 4096, 1024, 151936, is_tied=False), "Apache-2.0", "open", "listed", 32768
    ),
    BaseModel(
        "kakaocorp/kanana-1.5-2.1b-instruct-2505",
        ModelShape(32, 1792, 8064, 3072, 1024, 128256),
        "Apache-2.0",
        "open",
        "native",
        32768,
    ),
    BaseModel(
        "kakaocorp/kanana-1.5-8b-instruct-2505",
        ModelShape(32, 4096, 14336, 4096, 1024, 128256, is_tied=False),
        "Apache-2.0",
        "open",
        "native",
        32768,
    ),
    BaseModel(
        "naver-hyperclovax/HyperCLOVAX-SEED-Text-Instruct-1.5B",
        ModelShape(24, 2048, 7168, 2048, 1024, 110592),
        "HyperCLOVA X SEED",
        "conditions",
        "native",
        16384,
    ),
    BaseModel(
        "LGAI-EXAONE/EXAONE-4.0-1.2B",
        ModelShape(30, 2048, 4096, 2048, 512, 102400),
        "EXAONE 1.2 NC",
        "research",
        "native",
        65536,
    ),
    BaseModel("google/gemma-3-1b-it", ModelShape(26, 1152, 6912, 1024, 256, 262144), "Gemma", "conditions", "not listed", 32768),
    BaseModel("google/gemma-3-4b-it", ModelShape(34, 2560, 10240, 2048, 1024, 262208), "Gemma", "conditions", "listed", 131072),
    BaseModel(
        "meta-llama/Llama-3.2-1B-Instruct",
        ModelShape(16, 2048, 8192, 2048, 512, 128256),
        "Llama 3.2",
        "conditions",
        "not listed",
        131072,
    ),
    BaseModel(
        "meta-llama/Llama-3.2-3B-Instruct",
        ModelShape(28, 3072, 8192, 3072, 1024, 128256),
        "Llama 3.2",
        "conditions",
        "not listed",
        131072,
    ),
    BaseModel(
        "HuggingFaceTB/SmolLM3-3B", ModelShape(36, 2048, 11008, 2048, 512, 128256), "Apache-2.0", "open", "not listed", 65536
    ),
    BaseModel("microsoft/Phi-4-mini-instruct", ModelShape(32, 3072, 8192, 3072, 1024, 200064), "MIT", "open", "listed", 131072),
)

"""sadari: climb from prompting to fine-tuning with a small language model, and prove at every rung whether it paid."""

__version__ = "0.1.0"

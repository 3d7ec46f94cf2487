"""Put a conversation to a model: instructions, passages, examples, and the reading of what comes back."""

from sadari.prompt.compose import ANSWER_MARKS, compose, final_answer, sentence_marks
from sadari.prompt.instructions import Instruction, candidate_instructions

__all__ = ["ANSWER_MARKS", "Instruction", "candidate_instructions", "compose", "final_answer", "sentence_marks"]

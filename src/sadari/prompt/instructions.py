"""Instructions that the prompt rung tries: a role, the goal, and a template for the answer."""

from dataclasses import dataclass
from typing import Literal

Language = Literal["ko", "en"]
Kind = Literal["label", "grounded", "free"]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One way to tell the model what to do; `name` is what reports call it."""

    name: str
    text: str


def zero_shot(goal: str) -> Instruction:
    """The honest baseline: the goal in the user's own words."""
    return Instruction("goal", goal)


def candidate_instructions(goal: str, language: Language, kind: Kind) -> tuple[Instruction, ...]:
    """The goal alone, with a role before it, and with a template for the answer after it."""
    role = {
        "ko": {
            "label": "당신은 문의를 정확하게 분류하는 담당자입니다.",
            "grounded": "당신은 회사의 문서를 잘 아는 상담원입니다.",
            "free": "당신은 친절하고 정확한 상담원입니다.",
        },
        "en": {
            "label": "You classify messages exactly.",
            "grounded": "You are a support agent who knows the company's documents.",
            "free": "You are a helpful and exact assistant.",
        },
    }[language][kind]
    form = {
        "ko": {
            "label": "분류 이름 하나만 답하세요.",
            "grounded": "근거가 되는 문장을 그대로 옮겨 답하세요.",
            "free": "짧고 정확한 문장으로 답하세요.",
        },
        "en": {
            "label": "Answer with the label only.",
            "grounded": "Answer with the sentence that says so, word for word.",
            "free": "Answer in one short, exact sentence.",
        },
    }[language][kind]
    return (zero_shot(goal), Instruction("role", f"{role} {goal}"), Instruction("role+form", f"{role} {goal} {form}"))


def grounded_instruction(
    goal: str, language: Language, abstention: str, *, by_mark: bool = False, cites: bool = False
) -> Instruction:
    """Answer from the documents only, and say so when they do not hold the answer.

    Args:
        by_mark: The answer is the mark of a sentence (`sentence_marks`), which stands for the sentence.
        cites: Every sentence ends with the number of the document that says it.
    """
    if by_mark:
        rule = {
            "ko": f'답이 되는 문장의 기호만 쓰고, 문서에 없으면 "{abstention}"라고 답하세요.',
            "en": f'Answer with the letter of the sentence that answers; if the documents do not say, answer "{abstention}".',
        }[language]
        return Instruction("quoting", f"{goal} {rule}")
    rule = {
        "ko": f'문서에 있는 내용으로만 답하고, 문서에 없으면 "{abstention}"라고 답하세요.',
        "en": f'Answer from the documents only; if they do not say, answer "{abstention}".',
    }[language]
    if cites:
        rule += {
            "ko": " 문장마다 끝에 근거 문서의 번호를 [1]처럼 쓰세요.",
            "en": " End every sentence with the number of the document that says so, such as [1].",
        }[language]
    return Instruction("cited" if cites else "grounded", f"{goal} {rule}")

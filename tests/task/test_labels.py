from sadari.task import label_set
from sadari.types import Example, Message, Reference, ToolCall


def answered(texts: list[str], **more: object) -> list[Example]:
    return [
        Example(str(at), (Message("user", f"q{at}"), Message("assistant", text)), Reference((text,), **more))  # type: ignore[arg-type]
        for at, text in enumerate(texts)
    ]


def test_few_short_repeated_answers_are_labels() -> None:
    assert label_set(answered(["환불", "배송"] * 4)) == ("배송", "환불")


def test_answers_that_are_rare_long_single_or_more_than_text_are_no_labels() -> None:
    assert label_set(answered(["환불", "배송"] * 3)) == ()
    assert label_set(answered(["긴" * 61, "짧음"] * 4)) == ()
    assert label_set(answered(["하나"] * 8)) == ()
    assert label_set(answered(["환불", "배송"] * 4, calls=(ToolCall("f", {}),))) == ()
    assert label_set(answered(["환불", "배송"] * 4, abstain=True)) == ()
    assert label_set([]) == ()

"""Placeholders are the same for the same value everywhere, and rows still mean what they meant."""

import json
from pathlib import Path
from typing import Any

from sadari.task.mask import Masked, Masker, find_sensitive, mask_project, published
from sadari.task.readers import read_examples
from sadari.task.writers import write_examples
from sadari.types import Document, Example


def examples_of(tmp_path: Path, *rows: dict[str, Any]) -> tuple[Example, ...]:
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return read_examples(tmp_path / "rows.jsonl")


def masked_rows(tmp_path: Path, *rows: dict[str, Any], documents: tuple[Document, ...] = ()) -> tuple[Example, ...]:
    return mask_project({"train": examples_of(tmp_path, *rows)}, documents, Masker())[0]["train"]


def said(example: Example) -> list[str]:
    return [message.content for message in example.messages]


def test_one_value_has_one_placeholder_in_all_its_spellings(tmp_path: Path) -> None:
    rows = masked_rows(
        tmp_path,
        {"question": "010-1234-5678로 전화 주세요", "answer": "01012345678로 전화드렸습니다."},
        {"question": "+82 10 1234 5678 맞나요", "answer": "아니요, 010-9999-8888입니다."},
    )
    assert said(rows[0]) == ["[전화1]로 전화 주세요", "[전화1]로 전화드렸습니다."]
    assert said(rows[1]) == ["[전화1] 맞나요", "아니요, [전화2]입니다."]


def test_english_tasks_have_english_placeholders() -> None:
    masker = Masker("en")
    assert (
        masker.mask("call 010-1234-5678 or mail a@b.co.kr, password=hunter22!").text
        == "call [PHONE1] or mail [EMAIL1], password=[SECRET1]"
    )


def test_the_mapping_says_what_was_masked() -> None:
    masker = Masker()
    masker.mask("010-1234-5678, 01012345678")
    assert masker.mapping == {"[전화1]": "010-1234-5678"}
    assert masker.places == {"[전화1]": 2}


def test_placeholders_that_already_stand_in_the_data_are_not_given_again(tmp_path: Path) -> None:
    rows = masked_rows(tmp_path, {"question": "010-1234-5678인가요", "answer": "아니요, [전화1]과 [전화4]입니다."})
    assert said(rows[0]) == ["[전화5]인가요", "아니요, [전화1]과 [전화4]입니다."]


def test_masking_masked_rows_changes_nothing(tmp_path: Path) -> None:
    once = masked_rows(tmp_path, {"id": "1", "question": "이름: 홍길동, a@naver.com", "answer": "홍길동님, 확인했습니다."})
    assert mask_project({"train": once}, (), Masker())[0]["train"] == once


def test_a_name_is_masked_in_its_own_row_only_and_with_its_particles(tmp_path: Path) -> None:
    rows = masked_rows(
        tmp_path,
        {"question": "이름: 이수민입니다", "answer": "이수민님, 이수민은 등록되었습니다."},
        {"question": "이수민족은?", "answer": "이수민이라는 책입니다."},
    )
    assert said(rows[0]) == ["이름: [이름1]입니다", "[이름1]님, [이름1]은 등록되었습니다."]
    assert said(rows[1]) == ["이수민족은?", "이수민이라는 책입니다."]


def test_a_value_known_by_its_context_is_masked_where_it_stands_alone(tmp_path: Path) -> None:
    rows = masked_rows(
        tmp_path,
        {"question": "확인?", "answer": "110-123-456789 맞습니다.", "facts": [["110-123-456789"]]},
        {"question": "환불 계좌: 110-123-456789", "answer": "네."},
    )
    assert said(rows[0])[1] == "[계좌1] 맞습니다."
    assert rows[0].reference.facts == (("[계좌1]",),)


def test_facts_and_references_say_what_the_answer_says(tmp_path: Path) -> None:
    row = {"question": "번호?", "answer": "010-1234-5678입니다.", "facts": [["010-1234-5678", "01012345678"]]}
    masked = masked_rows(tmp_path, row)[0]
    assert masked.reference.texts == ("[전화1]입니다.",)
    assert masked.reference.facts == (("[전화1]",),)


def test_gold_spans_follow_the_text_of_their_document(tmp_path: Path) -> None:
    text = "# 안내\n\n담당 010-1234-5678, 메일 cs@shop.co.kr. 반품은 7일 안에 합니다."
    quotes = ("메일 cs@shop.co.kr.", "반품은 7일", "1234-5678, 메일")
    spans = [{"document": "a.md", "start": text.index(q), "end": text.index(q) + len(q), "quote": q} for q in quotes]
    rows, pages = mask_project(
        {"train": examples_of(tmp_path, {"question": "메일?", "answer": "cs@shop.co.kr", "spans": spans})},
        (Document("a.md", "안내", text),),
        Masker(),
    )
    placed = rows["train"][0].reference.spans
    assert pages[0].text == "# 안내\n\n담당 [전화1], 메일 [이메일1]. 반품은 7일 안에 합니다."
    assert [span.quote for span in placed] == ["메일 [이메일1].", "반품은 7일", "[전화1], 메일"]
    assert all(pages[0].text[span.start : span.end] == span.quote for span in placed)


def test_positions_move_with_the_pieces() -> None:
    masked = Masked("ab[X1]ef", ((2, 4, 2, 6),))  # "abcdef", "cd" masked
    assert [masked.span(start, end) for start, end in [(0, 2), (2, 4), (3, 5), (4, 6), (0, 3)]] == [
        (0, 2),
        (2, 6),
        (2, 7),
        (6, 8),
        (0, 6),
    ]


def test_arguments_under_a_telling_key_are_masked_and_the_row_still_fits_its_schema(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {
            "phone": {"type": "string", "pattern": r"^\d{3}-\d{4}-\d{4}$", "description": "예: 010-0000-1111"},
            "password": {"type": "string", "minLength": 8, "maxLength": 8},
        },
    }
    call = {"name": "join", "arguments": {"phone": "010-1234-5678", "password": "abc12345"}}
    rows = masked_rows(
        tmp_path,
        {
            "messages": [{"role": "user", "content": "가입해 줘"}, {"role": "assistant", "content": "", "tool_calls": [call]}],
            "tools": [{"name": "join", "parameters": schema}],
        },
    )
    assert rows[0].reference.calls[0].arguments == {"phone": "[전화1]", "password": "[비밀1]"}
    write_examples(tmp_path / "again.jsonl", rows)
    assert read_examples(tmp_path / "again.jsonl") == rows


def test_ids_groups_and_tags_are_masked_too(tmp_path: Path) -> None:
    row = masked_rows(
        tmp_path, {"id": "hong@naver.com", "group": "010-1234-5678", "tags": ["ko"], "question": "안녕", "answer": "네"}
    )[0]
    assert (row.id, row.group, row.tags) == ("[이메일1]", "[전화1]", ("ko",))


def test_what_the_documents_publish_can_be_kept(tmp_path: Path) -> None:
    page = Document("a.md", "안내", "고객센터 02-555-1234")
    examples = examples_of(tmp_path, {"question": "제 번호는 010-1234-5678", "answer": "고객센터는 02-555-1234입니다."})
    rows, pages = mask_project({"train": examples}, (page,), Masker(keep=published([page])), with_documents=False)
    assert said(rows["train"][0]) == ["제 번호는 [전화1]", "고객센터는 02-555-1234입니다."]
    assert pages == (page,)


def test_a_number_inside_a_key_is_part_of_the_key() -> None:
    assert [finding.kind for finding in find_sensitive("token=xoxb-01012345678-abcdefGHIJKL")] == ["api_key"]

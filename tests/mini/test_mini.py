"""The generators, the template and the arithmetic of `mini`; nothing here trains for longer than a blink."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from random import Random

import pytest
import torch
from tokenizers import Tokenizer

from sadari.mini import MINI_PATH
from sadari.mini.batches import collate, encode_row, segments, stream
from sadari.mini.evaluate import SKILLS, copy_accuracy, endless
from sadari.mini.generate import continue_greedily
from sadari.mini.initial import initialise, landmarks
from sadari.mini.layout import Decoder, Shape
from sadari.mini.skills.names import join_particles
from sadari.mini.skills.reading import ABSTAIN_EN, ABSTAIN_KO, MARKED_KO, read_corpus, read_facts, read_many
from sadari.mini.skills.rows import Row
from sadari.mini.train import Training
from sadari.prompt import compose, sentence_marks
from sadari.prompt.instructions import grounded_instruction
from sadari.types import Chunk, Prompt
from sadari.types import Message as TypedMessage

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(MINI_PATH / "tokenizer.json"))


@pytest.fixture(scope="module")
def decoder(tokenizer: Tokenizer) -> Decoder:
    model = Decoder(Shape())
    initialise(model, 0, marks=landmarks(tokenizer))
    return model.eval()


@pytest.mark.parametrize("name", sorted(SKILLS))
def test_a_seed_gives_the_same_rows(name: str) -> None:
    first, second = (list(islice(endless(SKILLS[name], 5), 20)) for _ in range(2))
    assert first == second


def said(row: Row) -> list[list[str]]:
    """The answers of a reading row as sentences: marks are replaced by the lines that they name."""
    lines = [line for m in row.messages if m["role"] == "user" for line in (m["content"] or "").splitlines()]
    marks: tuple[str, ...] = row.facts["marks"]
    named = {mark: line for mark in marks for line in lines if re.match(re.escape(mark) + r"[.):] ", line)}
    answers = [m["content"] or "" for m in row.messages if m["role"] == "assistant"]
    return [[named[m] for m in a.split(",")] if marks and a not in (ABSTAIN_KO, ABSTAIN_EN) else [a] for a in answers]


def test_copied_answers_stand_in_the_passages_letter_for_letter() -> None:
    r = Random(3)
    for form in ("sentence", "short", "abstain"):
        for _ in range(100):
            row = read_facts(r, passages=3, size=3, form=form, marked=False)
            stands = any(row.answer in passage for passage in row.facts["passages"])
            assert stands if form != "abstain" else row.answer in (ABSTAIN_KO, ABSTAIN_EN)


@pytest.mark.parametrize("make", [read_facts, read_many])
def test_every_mark_of_an_answer_names_a_sentence_of_the_passages(make: Callable[..., Row]) -> None:
    r = Random(4)
    for _ in range(100):
        row = make(r, passages=2, size=3)
        for answer in said(row) if row.facts["marks"] else ():
            for sentence in answer:
                assert sentence in (ABSTAIN_KO, ABSTAIN_EN) or any(sentence.endswith(s) for s in row.facts["sentences"])


def test_two_facts_are_answered_by_two_marks() -> None:
    r = Random(5)
    rows = [read_facts(r, passages=3, size=2, form="two", marked=True) for _ in range(50)]
    named = [len(said(row)[0]) for row in rows]
    assert set(named) == {1, 2}  # 1 where the same fact was drawn twice, and then one is asked for
    assert named.count(2) > 25


def test_an_unanswerable_question_about_prose_has_its_sentence_taken_out() -> None:
    text = "해는 동쪽에서 뜨고 서쪽으로 집니다. 물은 백 도에서 끓어 수증기가 됩니다. 나무는 봄에 새잎을 냅니다."
    other = "쌀은 논에서 자랍니다. 밀은 밭에서 자라고 여름에 거둡니다. 콩은 기름진 땅을 가리지 않습니다."
    r = Random(1)
    rows = [row for _ in range(300) if (row := read_corpus(r, [text, other], True, passages=2, size=3))]
    abstained = 0
    for row in rows:
        questions = [(m["content"] or "").rpartition(": ")[2] for m in row.messages if m["role"] == "user"]
        for question, answer in zip(questions, said(row), strict=True):
            asked = [w for w in question.split() if len(w) > 1 and any(w in s for s in (text, other))]
            holding = [p for p in row.facts["passages"] for s in p.replace("\n", " ").split(". ") if all(w in s for w in asked)]
            if answer == [ABSTAIN_KO]:
                abstained += 1
                assert not holding or len(asked) < 2
    assert abstained > 10


def test_passages_are_laid_out_as_they_are_served() -> None:
    asked = read_facts(Random(1), passages=2, size=2, plain=True, ko=True, form="sentence", marked=False)
    assert [m["role"] for m in asked.messages] == ["system", "user", "assistant"]
    assert re.fullmatch(r"문서:\n\[1\] .+\n(.|\n)+\n\n\[2\] .+\n(.|\n)+\n\n질문: .+", asked.messages[1]["content"] or "")


def test_marked_sentences_are_laid_out_and_asked_for_as_they_are_served() -> None:
    row = read_facts(Random(1), passages=2, size=1, plain=True, ko=True, form="sentence", marked=True)
    lines = [re.fullmatch(r"([A-Z])\. (.+?): (.+)", line) for line in (row.messages[1]["content"] or "").splitlines()[1:-2]]
    passages = [Chunk("d", m[2], 0, 1, m[3]) for m in lines if m]
    question = (row.messages[1]["content"] or "").rpartition("질문: ")[2]
    served = compose(Prompt(), (TypedMessage("user", question),), passages=passages, marks=sentence_marks(len(passages)))
    assert served[-1].content == row.messages[1]["content"]
    rule = grounded_instruction("", "ko", ABSTAIN_KO, by_mark=True).text.strip()
    assert any(rule in pattern for pattern in MARKED_KO)


@pytest.mark.parametrize(
    ("marked", "fitted"),
    [
        ("책~은", "책은"),
        ("사과~은", "사과는"),
        ("서울~으로", "서울로"),
        ("3일~까지", "3일까지"),
        ("A동~이", "A동이"),
        ("임산부~이면", "임산부면"),
        ("책~이라", "책이라"),
        ("오전 9시~오후 6시", "오전 9시~오후 6시"),
    ],
)
def test_particles_fit_the_sound_before_them(marked: str, fitted: str) -> None:
    assert join_particles(marked) == fitted


def test_segments_are_the_chat_template() -> None:
    transformers = pytest.importorskip("transformers")
    auto = transformers.AutoTokenizer.from_pretrained(MINI_PATH)
    r = Random(0)
    for make in SKILLS.values():
        row: Row = make(r)
        rendered = auto.apply_chat_template([dict(m) for m in row.messages], tools=list(row.tools) or None, tokenize=False)
        assert "".join(text for text, _ in segments(row)) == rendered


def test_the_template_renders_a_prefix_of_the_conversation_as_a_prefix() -> None:
    transformers = pytest.importorskip("transformers")
    auto = transformers.AutoTokenizer.from_pretrained(MINI_PATH)
    call = {"type": "function", "function": {"name": "calculator", "arguments": {"expression": "1 + 2"}}}
    messages = [
        {"role": "system", "content": "계산기를 쓰세요."},
        {"role": "user", "content": "1 더하기 2?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "3"},
        {"role": "assistant", "content": "3입니다."},
        {"role": "user", "content": "고마워요"},
    ]
    tools = [{"type": "function", "function": {"name": "calculator", "parameters": {"type": "object", "properties": {}}}}]
    whole = auto.apply_chat_template(messages, tools=tools, tokenize=False)
    for k in range(1, len(messages) + 1):
        assert whole.startswith(auto.apply_chat_template(messages[:k], tools=tools, tokenize=False))
    assert (
        auto.apply_chat_template(messages, tools=tools, tokenize=False, add_generation_prompt=True)
        == whole + "<|im_start|>assistant\n"
    )


def test_role_names_and_markers_are_single_tokens(tokenizer: Tokenizer) -> None:
    for piece in ("system", "user", "assistant", "tool", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"):
        assert len(tokenizer.encode(piece, add_special_tokens=False).ids) == 1


def test_text_survives_the_tokenizer(tokenizer: Tokenizer) -> None:
    text = '가나다 뷁 "A-12"\n\t{"값": 1,234} 🙂 é'
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids, skip_special_tokens=False) == text


def test_only_assistant_tokens_carry_the_loss_unless_the_prompt_is_weighted(tokenizer: Tokenizer) -> None:
    row = read_facts(Random(2), passages=1, size=1, plain=True, form="sentence")
    encoded = encode_row(row, tokenizer, Random(0), prompt_share=0.0, prompt_weight=0.3, max_tokens=512)
    assert encoded is not None
    learnt = [i for i, w in zip(encoded.ids, encoded.weights, strict=True) if w]
    assert tokenizer.decode(learnt, skip_special_tokens=False) == row.answer + "<|im_end|>"


def test_padding_does_not_change_the_loss(tokenizer: Tokenizer, decoder: Decoder) -> None:
    r = Random(6)
    rows = []
    while len(rows) < 3:
        row = encode_row(
            read_facts(r, passages=1, size=len(rows) + 1, form="sentence"),
            tokenizer,
            r,
            prompt_share=0.0,
            prompt_weight=0.0,
            max_tokens=512,
        )
        if row is not None:
            rows.append(row)
    together, alone = collate(rows), [collate([row]) for row in rows]
    with torch.no_grad():
        batch = decoder.losses(decoder(together.ids), together.positions, together.targets)
        single = torch.cat([decoder.losses(decoder(b.ids), b.positions, b.targets) for b in alone])
    torch.testing.assert_close(batch, single, atol=1e-4, rtol=1e-4)


def test_batches_stay_within_their_tokens(tokenizer: Tokenizer) -> None:
    def draw(r: Random):  # type: ignore[no-untyped-def]
        return encode_row(read_facts(r, passages=2, size=2), tokenizer, r, prompt_share=0.1, prompt_weight=0.3, max_tokens=256)

    for batch in islice(stream(draw, Random(0), pool=4000, tokens_per_step=1024), 8):
        assert batch.ids.numel() <= 1024 + 256
        assert abs(float(batch.weights.sum()) - 1) < 1e-5


def test_the_decoder_is_stock_qwen3(decoder: Decoder) -> None:
    transformers = pytest.importorskip("transformers")
    stock = transformers.Qwen3ForCausalLM(transformers.AutoConfig.from_pretrained(MINI_PATH)).float().eval()
    missing, unexpected = stock.load_state_dict(decoder.state_dict(), strict=False)
    assert not unexpected
    assert missing == ["lm_head.weight"]
    ids = torch.randint(9, 8192, (2, 50), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours = decoder(ids) @ decoder.model.embed_tokens.weight.T
        torch.testing.assert_close(ours, stock(ids).logits, atol=1e-3, rtol=1e-4)


def test_the_starting_weights_copy_fresh_tokens_untrained(decoder: Decoder) -> None:
    assert copy_accuracy(decoder, rows=6) > 0.6  # blind: 0.0001; more in real prompts, whose turns give idle heads a place to rest


def test_cached_generation_takes_the_most_likely_token_at_each_step(decoder: Decoder) -> None:
    ids = [20, 31, 42, 53, 64, 75, 20, 31]
    out = continue_greedily(decoder, ids, end=2, limit=4)
    with torch.no_grad():
        for token in out:
            assert int((decoder(torch.tensor([ids]))[0, -1] @ decoder.model.embed_tokens.weight.T).argmax()) == token
            ids = [*ids, token]


def test_training_goes_on_from_a_checkpoint_as_if_it_had_not_stopped(tokenizer: Tokenizer, tmp_path: Path) -> None:
    r = Random(9)
    rows = (read_facts(r, passages=2, size=1, marked=True) for _ in range(8))
    encoded = [encode_row(row, tokenizer, r, prompt_share=0.1, prompt_weight=0.1, max_tokens=400) for row in rows]
    batch = collate([row for row in encoded if row])
    whole, begun, resumed = (Training(tokenizer, 0) for _ in range(3))
    losses = [whole.learn(batch, 3e-4)[0] for _ in range(3)]
    for _ in range(2):
        begun.learn(batch, 3e-4)
    begun.save(tmp_path / "checkpoint.pt")
    resumed.start_from(tmp_path / "checkpoint.pt")
    assert torch.equal(resumed.learn(batch, 3e-4)[0], losses[2])
    assert resumed.tokens == whole.tokens == 3 * batch.ids.numel()
    assert float(losses[2].mean()) < float(losses[0].mean())


def _shingles(text: str, size: int = 40) -> set[str]:
    letters = re.sub(r"\W+", "", text)
    return {letters[i : i + size] for i in range(0, len(letters) - size + 1)}


def test_no_generated_row_shares_a_shingle_with_a_test_file() -> None:
    data = Path(os.environ.get("SADARI_DATA", "../shared/data"))
    files = [p for p in data.rglob("*test*") if p.is_file() and p.stat().st_size < 5_000_000] if data.is_dir() else []
    if not files:
        pytest.skip("no test files at hand: set SADARI_DATA")
    ours: set[str] = set()
    for i, make in enumerate(SKILLS.values()):
        for row in islice(endless(make, i), 40):
            ours |= _shingles("".join(text for text, _ in segments(row)))
    for path in files:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for line in raw.decode("utf-8", errors="ignore").splitlines()[:3000]:
            text = line.encode().decode("unicode_escape") if "\\u" in line and line.isascii() else line
            assert not (_shingles(text) & ours), f"{path.name}: {text[:80]}"

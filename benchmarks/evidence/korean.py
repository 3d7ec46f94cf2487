"""The Korean traps: what a default tokenizer and a list of suffixes do to Korean text, beside what sadari does.

    python benchmarks/evidence/korean.py

Prints three tables: equal sentences, unrelated sentences that share a number, and answers with grammatical endings.
"""

from collections.abc import Callable, Sequence
from statistics import fmean

from rich.console import Console
from rich.table import Table

from sadari.measure.korean import KiwiText, KoreanText, character_f1, comparison_key, is_exact
from sadari.measure.overlap import SHORTEST_FOR_BLEU, SYLLABLES, corpus_bleu, corpus_chrf, morpheme_f1, morphemes, rouge
from sadari.measure.scorers import chrf

ANSWERS = (
    *("경기도", "사과", "바나나", "제주도", "회의", "고양이", "나이", "오이", "종로", "의사"),
    *("도로", "이순신", "세종대왕", "한강", "김치", "30분", "3만 원", "iPhone", "고객센터", "주문번호"),
)
"""Nouns that end like particles, names, numbers with units, a Latin word, compounds."""

HELD_OUT = (
    *("전라도", "모과", "감자", "울릉도", "주의", "거북이", "놀이", "까마귀", "세종로", "변호사"),
    *("진로", "안중근", "신사임당", "낙동강", "비빔밥", "2시간", "5만 원", "Galaxy", "환불규정", "배송조회"),
)
"""Answers of the same kinds that nothing was tuned on."""

SUFFIXES = (
    *("이라고 합니다", "라고 합니다", "인 것 같습니다", "이었습니다", "였습니다", "입니다", "이에요", "예요", "이다", "다", "요"),
    *("에서", "으로", "로", "은", "는", "이", "가", "을", "를", "의", "에", "도", "과", "와"),
)
"""What a naive list takes off, the longest that fits."""

_SILENT_FINALS = {"iPhone": True, "Galaxy": False}  # as they are spoken: 아이폰 ends in a consonant, 갤럭시 does not

SENTENCES = (
    "서울",
    "환불",
    "고객님의 주문은 내일 도착합니다.",
    "제주도와 도서 산간 지역은 배송비 삼천 원이 더 붙습니다.",
    "상품을 받은 날부터 칠 일 안에 반품을 신청하시면 전액을 돌려드립니다.",
    "한강은 강원도에서 시작하여 서울을 지나 서해로 흐르는 긴 강이다.",
    "세종대왕은 백성이 쉽게 글을 읽고 쓸 수 있도록 훈민정음을 만들었다.",
    "오늘은 비가 오니까 우산을 꼭 챙겨서 나가시는 편이 좋겠습니다.",
)
"""Hangul alone: a tokenizer that keeps Latin letters and digits sees nothing."""

UNRELATED = (
    (
        "주문하신 상품은 결제일로부터 3일 안에 물류센터에서 출고되어 택배로 배송됩니다.",
        "신입 사원 교육은 본사 대강당에서 3일 동안 열리며 끝나면 수료증이 나옵니다.",
    ),
    (
        "이 냉장고의 무상 수리 보증은 구입한 날부터 2년까지 유효합니다.",
        "그 감독은 스페인 축구 대표팀을 2년 동안 이끌고 우승컵을 들었다.",
    ),
    ("제주도로 보내는 택배에는 추가 배송비 5,000원이 붙습니다.", "새 지폐 5,000원에는 율곡 선생의 초상과 초충도 그림이 실려 있다."),
    (
        "회원 가입을 하시면 첫 구매에 쓸 수 있는 10% 할인 쿠폰을 드립니다.",
        "대기 중의 습도가 높아지면 소리의 감쇠율은 10% 가까이 달라진다.",
    ),
    ("고객센터 상담원은 평일 오전 9시부터 전화를 받습니다.", "산불은 새벽 바람을 타고 번져 오전 9시에 마을 뒷산까지 내려왔다."),
    (
        "1988년에 문을 연 이 식당은 할머니의 손맛을 그대로 잇고 있다.",
        "서울 올림픽은 1988년 잠실 주경기장에서 화려한 개막식을 올렸다.",
    ),
    (
        "비밀번호를 5회 잘못 입력하시면 계정이 잠기고 본인 인증이 필요합니다.",
        "그 투수는 지난 경기에서 5회 만루 위기를 삼진으로 벗어났다.",
    ),
    (
        "작은 상자는 무게가 20kg 이하일 때만 편의점 접수가 가능합니다.",
        "농부는 봄마다 밭에 퇴비 20kg 정도를 골고루 뿌려 흙을 살린다.",
    ),
    (
        "포인트는 적립된 날부터 12개월이 지나면 자동으로 사라집니다.",
        "아기는 보통 12개월 무렵에 첫걸음을 떼고 낱말을 말하기 시작한다.",
    ),
    ("매장 주차장은 손님에게 2시간 동안 무료로 열려 있습니다.", "반죽은 따뜻한 곳에 2시간쯤 두어 두 배로 부풀린 뒤 오븐에 굽는다."),
    ("교환하실 신발은 상자에 담아 7일 이내에 보내 주세요.", "소행성 탐사선은 발사하고 7일 뒤 달 궤도를 벗어나 먼 우주로 향했다."),
    (
        "상품권의 최소 구매 금액은 10만 원이며 온라인에서도 쓸 수 있습니다.",
        "동생은 아르바이트로 번 10만 원을 들고 낡은 기타를 사러 나갔다.",
    ),
    (
        "이벤트 당첨자는 3월 15일에 문자 메시지로 알려 드립니다.",
        "마산 시민들은 3월 15일 부정 선거에 항의하며 거리로 쏟아져 나왔다.",
    ),
    (
        "세탁기는 설치 기사 2명이 방문하여 수평을 맞추고 시운전까지 합니다.",
        "그 실험에서는 우주 비행사 2명이 식물의 뿌리가 자라는 방향을 관찰했다.",
    ),
    ("환불 금액은 카드사 사정에 따라 영업일 5일 뒤에 입금됩니다.", "옛 장터는 닷새마다, 곧 5일에 한 번씩 읍내 다리 밑에서 섰다."),
    (
        "정기 구독은 매달 15일에 결제되며 언제든지 해지하실 수 있습니다.",
        "결승전을 앞둔 선수단은 15일 새벽 비행기로 조용히 입국했다.",
    ),
    ("이 이어폰은 한 번 충전하면 30시간까지 음악을 들을 수 있습니다.", "구조대는 무너진 갱도에서 30시간 만에 광부를 살려 냈다."),
    (
        "해외 배송은 통관에 걸리는 시간을 포함하여 2주 정도 걸립니다.",
        "연극은 관객의 호응에 힘입어 지방 공연을 2주 더 이어 가기로 했다.",
    ),
    ("신제품 사전 예약은 선착순 100명에게만 사은품을 드립니다.", "고려의 별무반에는 말을 잘 타는 병사 100명을 뽑은 부대가 있었다."),
    (
        "전화 주문은 1588-1234로 하시면 상담원이 바로 도와 드립니다.",
        "찢어진 영수증 뒷면에는 1588-1234라는 숫자와 지도가 흐릿하게 남아 있었다.",
    ),
)
"""Sentences from two worlds each; nothing in common but a number."""


def with_endings(answer: str) -> list[str]:
    """`answer` with 12 grammatical endings, formed by whether it ends in a consonant."""
    final = (ord(answer[-1]) - 0xAC00) % 28 if "가" <= answer[-1] <= "힣" else 4 * _SILENT_FINALS[answer]
    if final:
        endings = ["은", "이", "을", "에서", "로" if final == 8 else "으로", "입니다", "이에요", "이라고 합니다", "이다"]
        endings += ["인 것 같습니다", "이었습니다", "이요"]
    else:
        endings = ["는", "가", "를", "에서", "로", "입니다", "예요", "라고 합니다", "다", "인 것 같습니다", "였습니다", "요"]
    return [answer + ending for ending in endings]


def by_suffix_list(answer: str, reference: str) -> bool:
    """Exact match as it is often written: the longest listed suffix comes off both texts."""
    return comparison_key(_without_suffix(answer)) == comparison_key(_without_suffix(reference))


def _without_suffix(text: str) -> str:
    return next((text.removesuffix(s) for s in sorted(SUFFIXES, key=len, reverse=True) if text.endswith(s) and text != s), text)


def is_damaged(reference: str, matches: Callable[[str, str], bool]) -> bool:
    """Whether `reference` no longer equals itself, or a shorter word that it begins with is taken for it."""
    shorter = [reference[:end] for end in range(1, len(reference))]
    return not matches(reference, reference) or any(matches(reference, word) or matches(word, reference) for word in shorter)


def identity_scores(korean: KoreanText) -> dict[str, list[float]]:
    """Every metric on each sentence against itself; corpus metrics on all of them together."""
    long = [sentence for sentence in SENTENCES if len(comparison_key(sentence)) >= SHORTEST_FOR_BLEU]
    scores: dict[str, list[float]] = {"character F1": [character_f1(s, s) for s in SENTENCES]}
    scores["morpheme F1"] = [morpheme_f1(s, s, korean) for s in SENTENCES]
    scores["chrF"] = [chrf(s, s) for s in SENTENCES]
    scores["exact match"] = [float(is_exact(s, [s], korean)) for s in SENTENCES]
    for tokenizer in (morphemes(korean), SYLLABLES):
        for name in ("rouge1", "rouge2", "rougeL"):
            scores[f"{name}, {tokenizer.name}"] = [rouge(s, s, tokenizer)[name].f1 for s in SENTENCES]
    scores["corpus chrF"] = [corpus_chrf(SENTENCES, [[s] for s in SENTENCES]).value]
    scores["corpus BLEU, ko-mecab (long sentences)"] = [corpus_bleu(long, [[s] for s in long]).value]
    return scores


def unrelated_scores(korean: KoreanText) -> dict[str, list[float]]:
    """Every metric on pairs that share nothing but a number, those over morphemes first."""
    scores: dict[str, list[float]] = {}
    for tokenizer in (morphemes(korean), SYLLABLES):
        for name in ("rouge1", "rouge2", "rougeL"):
            scores[f"{name}, {tokenizer.name}"] = [rouge(a, b, tokenizer)[name].f1 for a, b in UNRELATED]
    scores["character F1"] = [character_f1(a, b) for a, b in UNRELATED]
    scores["chrF"] = [chrf(a, b) for a, b in UNRELATED]
    return scores


def default_rouge_l(pairs: Sequence[tuple[str, str]]) -> list[float]:
    """ROUGE-L F1 of the `rouge-score` package as it comes."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"])
    return [float(scorer.score(reference, answer)["rougeL"].fmeasure) for answer, reference in pairs]


def particle_test(answers: Sequence[str], matches: Callable[[str, str], bool]) -> tuple[float, list[str]]:
    """Share of the answers recognised with their 12 endings, and the references that are damaged."""
    said = [matches(form, answer) for answer in answers for form in with_endings(answer)]
    return sum(said) / len(said), [answer for answer in answers if is_damaged(answer, matches)]


def korean_figures() -> dict[str, float]:
    """Prints the three tables; gives the figures that must hold.

    Returns:
        `particle_recognised` in [0, 1] and `references_damaged` of 20, on `ANSWERS`; `hangul_identity_min`, the smallest score of
        any metric on equal sentences; `unrelated_number_max`, the largest of ROUGE-1, 2 and L over morphemes on unrelated ones.
    """
    korean = KiwiText()
    identity, unrelated = identity_scores(korean), unrelated_scores(korean)
    default_equal = default_rouge_l([(s, s) for s in SENTENCES])
    default_unrelated = default_rouge_l(UNRELATED)

    equal = Table("metric", "lowest", "mean", title=f"{len(SENTENCES)} Hangul sentences against themselves (right: 1)")
    for name, values in {"rougeL, default tokenizer of rouge-score": default_equal, **identity}.items():
        equal.add_row(name, f"{min(values):.3f}", f"{fmean(values):.3f}")
    apart = Table("metric", "highest", "mean", title=f"{len(UNRELATED)} unrelated pairs that share a number (right: near 0)")
    for name, values in {"rougeL, default tokenizer of rouge-score": default_unrelated, **unrelated}.items():
        apart.add_row(name, f"{max(values):.3f}", f"{fmean(values):.3f}")
    particles = Table("answers", "by", "recognised", "damaged", title="20 answers with 12 grammatical endings (right: 100 %, none)")
    figures: dict[str, float] = {}
    for kind, answers in (("tuned on", ANSWERS), ("held out", HELD_OUT)):
        for by, matches in (("suffix list", by_suffix_list), (korean.name, lambda said, wanted: is_exact(said, [wanted], korean))):
            share, damaged = particle_test(answers, matches)
            particles.add_row(kind, by, f"{share:.1%}", f"{len(damaged)}  {' '.join(damaged)}".strip())
            if kind == "tuned on":
                figures = {"particle_recognised": share, "references_damaged": float(len(damaged))}  # Kiwi's row is the last
    for table in (equal, apart, particles):
        Console(width=132).print(table)
    return figures | {
        "hangul_identity_min": min(min(values) for values in identity.values()),
        "unrelated_number_max": max(max(values) for name, values in unrelated.items() if name.endswith(korean.tokens_name)),
    }


if __name__ == "__main__":
    print(korean_figures())

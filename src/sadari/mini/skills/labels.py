# ruff: noqa: E501 (word lists and patterns read better on one line)
"""Labels and patterns from the context: classify into listed labels, follow few-shot examples, look values up, check a limit."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from sadari.mini.skills import facts_en, facts_ko
from sadari.mini.skills import names as n
from sadari.mini.skills.rows import Message, Row, chat

_TOPICS_KO = {
    "배송": "택배가 아직 안 왔어요|언제 도착하나요|배송지를 바꾸고 싶어요|송장 번호가 안 보여요|문 앞에 놓아 주세요|배송이 너무 늦네요|출고는 언제 되나요",
    "환불": "돈을 돌려받고 싶어요|환불이 아직 안 들어왔어요|결제 취소해 주세요|구매를 철회하고 싶습니다|환불 금액이 이상해요|취소했는데 입금이 안 됐어요",
    "교환": "사이즈를 바꾸고 싶어요|다른 색으로 바꿔 주세요|새 제품으로 교체해 주세요|불량이라 바꾸고 싶어요|옵션을 잘못 골랐어요",
    "결제": "카드가 안 긁혀요|결제 오류가 나요|무통장으로 낼 수 있나요|할부가 되나요|두 번 결제됐어요|영수증이 필요해요",
    "계정": "비밀번호를 잊어버렸어요|로그인이 안 됩니다|아이디를 찾고 싶어요|탈퇴하고 싶어요|휴대폰 번호를 바꾸려고요|인증 문자가 안 와요",
    "칭찬": "정말 친절하셨어요|덕분에 잘 해결됐습니다|품질이 아주 좋아요|또 이용할게요|최고예요|기대 이상이었어요",
    "불만": "너무 불친절해요|다시는 안 살 거예요|품질이 엉망이에요|기다리다 지쳤어요|설명과 달라요|실망했습니다",
    "예약": "내일 자리 있나요|예약 시간을 바꾸고 싶어요|두 명 예약할게요|방을 하나 잡아 주세요|예약 확인 부탁드려요|대기 명단에 올려 주세요",
    "채용": "지원서는 어디로 내나요|면접 일정이 궁금해요|신입도 뽑나요|경력직 공고가 있나요|합격 발표는 언제인가요",
    "날씨": "오늘 비가 오나요|내일 기온이 몇 도예요|주말에 눈이 올까요|바람이 많이 부나요|미세먼지가 심한가요",
    "음식": "김치찌개를 끓이고 있어요|점심으로 국수를 먹었어요|이 빵은 정말 고소해요|매운 음식은 못 먹어요|과일을 깎아 먹었습니다",
    "운동": "아침마다 달리기를 해요|축구 경기가 있었어요|수영을 배우고 싶어요|헬스장에 다닙니다|자전거로 출근해요",
    "건강": "머리가 아파요|병원에 다녀왔어요|약을 하루 세 번 먹어요|열이 나고 기침을 해요|혈압이 높대요",
    "여행": "비행기표를 샀어요|바다를 보러 갈 거예요|호텔이 깨끗했어요|여권을 새로 만들었어요|기차로 부산에 갑니다",
    "학교": "시험을 망쳤어요|숙제를 다 했습니다|선생님이 칭찬하셨어요|수업이 아홉 시에 시작해요|졸업식이 다음 주예요",
    "수리": "화면이 깨졌어요|소리가 안 나와요|전원이 켜지지 않습니다|물이 새요|버튼이 고장 났어요|이상한 소음이 나요",
}
_TOPICS_EN = {
    "shipping": "my parcel has not arrived|when will it be delivered|change my delivery address|where is my tracking number|the courier left it outside",
    "refund": "I want my money back|the refund has not reached me|please cancel my payment|I was promised a refund",
    "account": "I forgot my password|I cannot log in|close my account|change my phone number|the code never arrives",
    "payment": "my card was declined|I was charged twice|can I pay by bank transfer|I need a receipt",
    "praise": "your staff was wonderful|great quality|I love it|thank you for the quick help|better than expected",
    "complaint": "this is terrible service|I am very disappointed|the quality is awful|nobody answers the phone",
    "booking": "a table for two please|move my reservation|is a room free tomorrow|put me on the waiting list",
    "repair": "the screen is broken|it makes a strange noise|it will not turn on|water is leaking|the button is stuck",
    "weather": "will it rain today|how cold is it tomorrow|is snow expected|it is windy outside",
    "sports": "we won the match|I run every morning|she scored two goals|the gym is full",
    "travel": "I bought a plane ticket|the hotel was clean|we are going to the sea|my passport is new",
    "food": "the soup is hot|I baked bread|we had noodles for lunch|this apple is sweet",
    "health": "I have a headache|the doctor gave me pills|my blood pressure is high|I have a fever",
}


def _name_labels(r: Random, topics: list[str], ko: bool) -> list[str]:
    style = r.random()
    if style < 0.45:
        return topics
    if style < 0.65:
        tail = r.choice(("_문의", " 관련", "류", "_요청") if ko else ("_request", "_issue", "_query", "_question"))
        return [t + tail for t in topics]
    if style < 0.8:
        return [f"{n.word_en(r)}_{n.word_en(r)}" for _ in topics]
    if style < 0.9:
        return [chr(65 + i) for i in range(len(topics))]
    return [str(i + 1) for i in range(len(topics))]


def _utterance(r: Random, ko: bool, topics: dict[str, str], topic: str) -> str:
    text = r.choice(topics[topic].split("|"))
    if r.random() < 0.35:
        text += r.choice((" ", ". ")) + r.choice(topics[topic].split("|"))
    if r.random() < 0.3:
        text = (r.choice(("안녕하세요. ", "저기 ", f"{n.person_ko(r)}입니다. ", "어제부터 ")) if ko else r.choice(("Hello, ", "Hi there, ", "Sorry, ", "Please, "))) + text
    if r.random() < 0.4:
        text += r.choice((".", "!", "?", "..", "요", " ㅠㅠ")) if ko else r.choice((".", "!", "?"))
    return n.typo(text, r) if r.random() < 0.08 else text


def classify(r: Random) -> Row:
    """Choose one of the labels that the prompt lists; labels that mean nothing come with examples."""
    ko = r.random() < 0.65
    topics = _TOPICS_KO if ko else _TOPICS_EN
    chosen = r.sample(list(topics), r.randint(2, 7))
    labels = _name_labels(r, chosen, ko)
    named = all(label.startswith(topic) for label, topic in zip(labels, chosen, strict=True))
    k = r.randrange(len(chosen))
    text = _utterance(r, ko, topics, chosen[k])
    joiner = r.choice((", ", "\n- ", " / ", "\n", " | "))
    if named:
        shown = joiner.join(labels)
        examples = ""
    else:
        meaning = r.random() < 0.5
        shown = joiner.join(f"{label}: {topic}" for label, topic in zip(labels, chosen, strict=True)) if meaning else joiner.join(labels)
        shots = [(_utterance(r, ko, topics, t), label) for t, label in zip(chosen, labels, strict=True) for _ in range(r.choice((1, 1, 2)))]
        r.shuffle(shots)
        examples = "" if meaning else "\n\n" + "\n".join(f"{a} -> {b}" for a, b in shots)
    if joiner.startswith("\n"):
        shown = "\n" + joiner.strip("\n") + shown
    if ko:
        head = r.choice(("다음 문장을 아래 분류 중 하나로 나누세요.", "고객 문의의 의도를 고르세요. 레이블만 답하세요.", "분류하세요. 보기에서 하나만 고르세요.", "문장의 주제를 다음 중에서 선택하세요.", "의도 분류기입니다. 레이블 하나만 출력합니다."))
        listed = f"{r.choice(('분류', '레이블', '보기', '선택지'))}: {shown}{examples}"
    else:
        head = r.choice(("Classify the text into one of the labels.", "Pick the intent. Reply with the label only.", "Which label fits? Answer with one label.", "Choose the topic of the message."))
        listed = f"{r.choice(('Labels', 'Options', 'Categories'))}: {shown}{examples}"
    body = text if r.random() < 0.6 else f"{r.choice(('문장', '입력', '문의')) if ko else r.choice(('Text', 'Input', 'Message'))}: {text}"
    if r.random() < 0.6:
        return chat("classify", f"{head}\n{listed}", body, labels[k])
    return chat("classify", "", f"{head}\n{listed}\n\n{body}", labels[k])


def nearest_label(r: Random) -> Row:
    """`text -> label` lists over invented labels; the query is close to one of the texts."""
    ko = r.random() < 0.65
    facts = facts_ko if ko else facts_en
    count = r.randint(3, 9)
    attributes = r.sample(facts.ATTRIBUTES, count)
    labels = [r.choice((f"{n.word_en(r)}_{a.key}", a.key, f"{a.key}_{n.word_en(r)}", n.word_en(r) + "_" + n.word_en(r), n.word_ko(r) if ko else n.word_en(r))) for a in attributes]
    thing = r.choice(facts.THINGS)

    def question(k: int) -> str:
        x = thing if r.random() < 0.6 else r.choice(facts.THINGS)
        return n.join_particles(r.choice(attributes[k].questions).replace("{x}", x))

    k = r.randrange(count)
    shots = [(question(i), labels[i]) for i in range(count)]
    shots += [(question(i), labels[i]) for i in r.choices(range(count), k=r.randint(0, 3))]
    query = shots[k][0] if r.random() < 0.15 else question(k)
    r.shuffle(shots)
    head = r.choice(("가장 비슷한 예시의 레이블을 답하세요.", "예시를 보고 의도를 맞히세요.", "다음 예를 따라 분류하세요.", "레이블만 출력하세요.") if ko else ("Answer with the label of the closest example.", "Follow the examples.", "Reply with the label only.", "Classify the intent as in the examples."))
    style = r.random()
    if style < 0.45:  # examples as earlier turns
        messages: list[Message] = [{"role": "system", "content": head}]
        for text, label in shots:
            messages += [{"role": "user", "content": text}, {"role": "assistant", "content": label, "weight": 0}]
        messages += [{"role": "user", "content": query}, {"role": "assistant", "content": labels[k]}]
        return Row("nearest_label", tuple(messages))
    arrow = r.choice((" -> ", " → ", " => ", ": ", "\t", " | "))
    listed = "\n".join(text + arrow + label for text, label in shots)
    if style < 0.75:
        return chat("nearest_label", f"{head}\n{listed}", query, labels[k])
    return chat("nearest_label", "", f"{head}\n\n{listed}\n\n{query}{arrow.rstrip()}", labels[k])


def follow_pattern(r: Random) -> Row:
    """Earlier turns show how inputs become outputs; do the same once more."""
    ko = r.random() < 0.65
    left, right = r.choice((("<", ">"), ("[", "]"), ("(", ")"), ("**", "**"), ("", "!"), ("# ", ""), ('"', '"')))
    fixed = n.word_ko(r) if ko else n.word_en(r)
    draws: dict[str, Callable[[Random], str]] = {
        **dict.fromkeys("abc", n.word_ko if ko else n.word_en),
        "p": n.person_ko if ko else n.person_en, "m": n.money_ko if ko else n.money_en, "t": n.phone, "l": n.place_ko if ko else n.word_en, "i": n.code, "d": n.date_ko if ko else n.date_en,
    }
    shown, expected = r.choice((
        ("{a} {b}", "{b} {a}"), ("{a} {b}", left + "{a} {b}" + right), ("{p}", "{p} " + fixed), ("{a}: {m}", "{m}"), ("{a}, {b}, {c}", "{b}"), ("{a} / {b} / {c}", "{c}"), ("{a} ({t})", "{t}={a}"),
        ("{a}~은 {l}에 있습니다." if ko else "{a} is in {l}.", "{a} @ {l}"), ("{i}", fixed + "-{i}"), ("{a} {d}", '{"name": "{a}", "value": "{d}"}'),
    ))

    def pair() -> tuple[str, str]:
        question, answer = shown, expected
        for slot, draw in draws.items():
            value = draw(r)
            question, answer = question.replace("{" + slot + "}", value), answer.replace("{" + slot + "}", value)
        return n.join_particles(question), answer

    pairs = [pair() for _ in range(r.randint(3, 6))]
    if r.random() < 0.7:
        messages: list[Message] = []
        for i, (a, b) in enumerate(pairs):
            messages += [{"role": "user", "content": a}, {"role": "assistant", "content": b, "weight": 1 if i >= 2 else 0}]
        return Row("pattern", tuple(messages))
    labels = r.choice((("입력", "출력"), ("Input", "Output"), ("Q", "A")))
    text = "\n".join(f"{labels[0]}: {a}\n{labels[1]}: {b}" for a, b in pairs[:-1])
    return chat("pattern", "", f"{text}\n{labels[0]}: {pairs[-1][0]}\n{labels[1]}:", pairs[-1][1])


def look_up(r: Random) -> Row:
    """A list of keys and values, and several keys asked for in turn."""
    ko = r.random() < 0.65
    values = (n.money_ko if ko else n.money_en, n.phone, n.code, n.date_ko if ko else n.date_en, n.person_ko if ko else n.person_en, n.email, n.percent, n.place_ko if ko else n.word_en)
    value = r.choice(values)
    mixed = r.random() < 0.3
    keys = list(dict.fromkeys(r.choice((n.word_ko(r) if ko else n.word_en(r), n.code(r), n.brand(r, ko), r.choice((facts_ko if ko else facts_en).THINGS))) for _ in range(r.randint(3, 12))))
    table = {key: (r.choice(values) if mixed else value)(r) for key in keys}
    arrow = r.choice((": ", " = ", " -> ", " | ", "\t", " - ", ", "))
    listed = "\n".join(key + arrow + v for key, v in table.items())
    if r.random() < 0.2:
        listed = "{" + ", ".join(f'"{key}": "{v}"' for key, v in table.items()) + "}"
    asked = r.sample(keys, min(len(keys), r.randint(1, 5)))
    forms = ("{}?", "{}", "{}의 값은?", "{} 알려 주세요", "{} 뭐예요?", "{} 값을 찾아 주세요.") if ko else ("{}?", "{}", "What is the value of {}?", "{} please", "Look up {}.")
    form = r.choice(forms)
    messages: list[Message] = []
    for i, key in enumerate(asked):
        messages += [{"role": "user", "content": (listed + "\n\n" if i == 0 else "") + form.format(key)}, {"role": "assistant", "content": table[key]}]
    return Row("look_up", tuple(messages))


def check_limit(r: Random) -> Row:
    """Yes or no: does a number meet the stated rule?"""
    ko = r.random() < 0.65
    limit = r.choice((r.randint(2, 20), r.randint(10, 100), r.randint(1, 50) * 1000))
    number = max(0, limit + r.choice((-1, 0, 1, -2, 3, -limit // 2, limit // 2, limit)))
    if r.random() < 0.3:
        number = limit
    subject = r.choice((facts_ko if ko else facts_en).THINGS)
    if ko:
        unit = r.choice(("명", "일", "개", "살", "회", "kg", "시간")) if limit < 1000 else "원"
        word, test = r.choice((("이상", number >= limit), ("이하", number <= limit), ("미만", number < limit), ("초과", number > limit)))
        rule = n.join_particles(f"{subject}~은 {limit:,}{unit} {word}일 때 가능합니다.")
        question = r.choice((f"{number:,}{unit}이면 되나요?", f"저는 {number:,}{unit}인데 가능한가요?", f"{number:,}{unit}도 괜찮나요?", f"{number:,}{unit}인 경우 이용할 수 있나요?"))
        yes, no = r.choice((("네", "아니요"), ("가능합니다.", "불가능합니다."), ("네, 가능합니다.", "아니요, 불가능합니다.")))
        head = f"규칙에 따라 '{yes}' 또는 '{no}'로 답하세요."
    else:
        unit = r.choice(("people", "days", "items", "years", "hours", "euros"))
        word, test = r.choice((("at least", number >= limit), ("at most", number <= limit), ("fewer than", number < limit), ("more than", number > limit)))
        rule = f"The {subject} is possible for {word} {limit} {unit}."
        question = r.choice((f"Is {number} {unit} fine?", f"I have {number} {unit}. Is it possible?", f"What about {number} {unit}?"))
        yes, no = r.choice((("yes", "no"), ("Yes.", "No."), ("Yes, it is possible.", "No, it is not possible.")))
        head = f"Answer '{yes}' or '{no}' by the rule."
    if r.random() < 0.5:
        return chat("check_limit", f"{head}\n{rule}", question, yes if test else no)
    return chat("check_limit", head, f"{rule}\n{question}", yes if test else no)

# ruff: noqa: E501 (word lists and patterns read better on one line)
"""Tool calls: arguments from the user's words into a schema seen in the prompt; sums by a calculator; SQL from a schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from sadari.mini.skills import facts_en, facts_ko
from sadari.mini.skills import names as n
from sadari.mini.skills.rows import Message, Row, chat

# argument name, description ko, description en, value, how the user says it ko, en
_ARGUMENTS: tuple[tuple[str, str, str, Callable[[Random, bool], Any], str, str], ...] = (
    ("order_id", "주문 번호", "order number", lambda r, _: n.code(r), "주문 번호 {v}", "order {v}"),
    ("name", "이름", "name", lambda r, ko: n.person_ko(r) if ko else n.person_en(r), "이름은 {v}", "name {v}"),
    ("city", "도시", "city", lambda r, ko: n.place_ko(r) if ko else n.word_en(r).capitalize(), "{v}에서", "in {v}"),
    ("date", "날짜", "date", lambda r, _: f"{r.randint(2024, 2027)}-{r.randint(1, 12):02d}-{r.randint(1, 28):02d}", "{v}에", "on {v}"),
    ("count", "개수", "how many", lambda r, _: r.randint(1, 40), "{v}개", "{v} of them"),
    ("amount", "금액", "amount", lambda r, _: r.randint(1, 90) * r.choice((100, 1000)), "{v}원", "amount {v}"),
    ("phone", "전화번호", "phone number", lambda r, _: n.phone(r), "연락처 {v}", "phone {v}"),
    ("email", "이메일 주소", "email address", lambda r, _: n.email(r), "메일 {v}", "mail {v}"),
    ("item", "품목", "item", lambda r, ko: r.choice((facts_ko if ko else facts_en).THINGS), "{v}", "the {v}"),
    ("people", "인원", "number of people", lambda r, _: r.randint(1, 12), "{v}명", "for {v} people"),
    ("color", "색상", "colour", lambda r, ko: r.choice(("검은색", "흰색", "남색", "회색", "노란색") if ko else ("black", "white", "navy", "grey")), "{v}으로", "in {v}"),
    ("address", "주소", "address", lambda r, ko: n.address_ko(r) if ko else n.word_en(r).capitalize() + " Street " + str(r.randint(1, 99)), "주소는 {v}", "to {v}"),
    ("keyword", "검색어", "search words", lambda r, ko: n.word_ko(r) if ko else n.word_en(r), "'{v}'", "'{v}'"),
)
_VERBS_KO = (("조회", "조회해 주세요", "찾아 주세요"), ("예약", "예약해 주세요", "잡아 주세요"), ("취소", "취소해 주세요", "없던 걸로 해 주세요"), ("등록", "등록해 주세요", "올려 주세요"), ("변경", "바꿔 주세요", "변경 부탁드립니다"), ("검색", "검색해 줘", "찾아봐 줘"), ("발송", "보내 주세요", "발송해 주세요"))
_VERBS_EN = (("get", "look up", "show me"), ("book", "book", "reserve"), ("cancel", "cancel", "call off"), ("create", "create", "add"), ("update", "change", "update"), ("search", "search for", "find"), ("send", "send", "mail"))
_NOUNS = ("order", "booking", "account", "ticket", "parcel", "invoice", "coupon", "course", "room", "report", "refund", "member", "stock", "schedule")
_NOUNS_KO = ("주문", "예약", "계정", "티켓", "택배", "청구서", "쿠폰", "강좌", "객실", "보고서", "환불", "회원", "재고", "일정")


def _function(r: Random, ko: bool) -> tuple[dict[str, Any], int, int, list[Any]]:
    verb, noun = r.randrange(len(_VERBS_EN)), r.randrange(len(_NOUNS))
    arguments = r.sample(_ARGUMENTS, r.randint(1, 4))
    name = r.choice((f"{_VERBS_EN[verb][0]}_{_NOUNS[noun]}", f"{_NOUNS[noun]}_{_VERBS_EN[verb][0]}", f"{_VERBS_EN[verb][0]}{_NOUNS[noun].capitalize()}"))
    renamed = [(r.choice((a[0], a[0], f"{n.word_en(r)}_{a[0]}", n.word_en(r))), a) for a in arguments]
    properties = {key: {"type": "integer" if a[0] in ("count", "amount", "people") else "string", "description": a[1] if ko else a[2]} for key, a in renamed}
    description = f"{_NOUNS_KO[noun]} {_VERBS_KO[verb][0]}" if ko else f"{_VERBS_EN[verb][1]} a {_NOUNS[noun]}"
    tool = {"type": "function", "function": {"name": name, "description": description, "parameters": {"type": "object", "properties": properties, "required": list(properties)}}}
    return tool, verb, noun, renamed


def call_tool(r: Random) -> Row:
    """Pick the tool that was asked for and fill its arguments from the user's words."""
    ko = r.random() < 0.65
    drawn = [_function(r, ko) for _ in range(r.choice((1, 1, 2, 2, 3)))]
    names: dict[str, Any] = {d[0]["function"]["name"]: d for d in drawn}
    tool, verb, noun, renamed = r.choice(list(names.values()))
    values = {key: a[3](r, ko) for key, a in renamed}
    said = [n.join_particles((a[4] if ko else a[5]).replace("{v}", str(values[key]))) for key, a in renamed]
    r.shuffle(said)
    if ko:
        user = f"{', '.join(said)} {_NOUNS_KO[noun]} {r.choice(_VERBS_KO[verb][1:])}" if r.random() < 0.7 else f"{_NOUNS_KO[noun]} {r.choice(_VERBS_KO[verb][1:])}. {', '.join(said)}입니다."
    else:
        user = f"{r.choice(_VERBS_EN[verb][1:])} the {_NOUNS[noun]} {', '.join(said)}"
    messages: list[Message] = [{"role": "user", "content": user}, {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": tool["function"]["name"], "arguments": values}}]}]
    if r.random() < 0.3:
        state, spoken = r.choice((("done", "완료"), ("shipped", "배송 중"), ("pending", "대기 중"), ("cancelled", "취소됨"))) if ko else (lambda s: (s, s))(r.choice(("done", "shipped", "pending", "cancelled")))
        number = n.code(r)
        messages.append({"role": "tool", "content": json.dumps({"status": state if r.random() < 0.5 or not ko else spoken, "id": number}, ensure_ascii=False)})
        status = json.loads(messages[-1]["content"])["status"]
        messages.append({"role": "assistant", "content": f"{_NOUNS_KO[noun]} 상태는 {status}이고 번호는 {number}입니다." if ko else f"The status is {status} and the number is {number}."})
    system = r.choice(("필요하면 도구를 사용하세요.", "도구로 고객의 요청을 처리합니다.", "")) if ko else r.choice(("Use the tools.", "You may call tools.", ""))
    head: tuple[Message, ...] = ({"role": "system", "content": system},) if system else ()
    return Row("call_tool", head + tuple(messages), tools=tuple(d[0] for d in names.values()))


def extract_json(r: Random) -> Row:
    """Fill a JSON object whose keys the prompt names, from a sentence."""
    ko = r.random() < 0.65
    _, _, _, renamed = _function(r, ko)
    values = {key: a[3](r, ko) for key, a in renamed}
    said = ", ".join(n.join_particles((a[4] if ko else a[5]).replace("{v}", str(values[key]))) for key, a in renamed)
    keys = ", ".join(f"{key}({a[1] if ko else a[2]})" for key, a in renamed)
    head = f"다음 문장에서 {keys}를 뽑아 JSON으로 쓰세요." if ko else f"Extract {keys} from the text as JSON."
    return chat("extract_json", head if r.random() < 0.5 else "", said if r.random() < 0.5 else f"{head}\n{said}", json.dumps(values, ensure_ascii=False)) if r.random() < 0.5 else chat("extract_json", head, said, json.dumps(values, ensure_ascii=False))


_CALCULATOR = {"type": "function", "function": {"name": "calculator", "description": "Evaluate an arithmetic expression.", "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]}}}


def calculate(r: Random) -> Row:
    """Call the calculator with the right expression, then answer with its result."""
    ko = r.random() < 0.65
    a, b, c = r.randint(2, 900) * r.choice((1, 10, 100)), r.randint(2, 60), r.randint(100, 9000)
    item = r.choice((facts_ko if ko else facts_en).THINGS)
    kinds = [
        (f"{a} * {b}", f"{a}원짜리 {item} {b}개면 모두 얼마예요?", f"What do {b} pieces of {item} at {a} each cost?"),
        (f"{a} + {c}", f"{a}원과 {c}원을 더하면 얼마인가요?", f"How much is {a} plus {c}?"),
        (f"{a + c} - {c}", f"{a + c}원에서 {c}원을 빼면 얼마가 남나요?", f"What is {a + c} minus {c}?"),
        (f"{a} * {b} + {c}", f"{item} {a}원짜리 {b}개에 배송비 {c}원이면 총액은요?", f"{b} times {a} plus {c} shipping, what is the total?"),
        (f"{a} * {b} / 100", f"{a}원의 {b}퍼센트는 얼마죠?", f"What is {b} percent of {a}?"),
    ]
    expression, question_ko, question_en = r.choice(kinds)
    left = eval_sum(expression)
    text = f"{left:g}" if left % 1 else str(int(left))
    unit = "" if not ko else "원"
    tool = json.loads(json.dumps(_CALCULATOR))
    if r.random() < 0.5:
        tool["function"]["name"] = r.choice(("calculator", "calc", "compute", "계산기", "math_eval"))
    name = tool["function"]["name"]
    messages: tuple[Message, ...] = (
        {"role": "user", "content": question_ko if ko else question_en},
        {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": name, "arguments": {"expression": expression}}}]},
        {"role": "tool", "content": text},
        {"role": "assistant", "content": (r.choice((f"{text}{unit}입니다.", f"모두 {text}{unit}입니다.")) if ko else f"It is {text}.")},
    )
    return Row("calculate", messages, tools=(tool,))


def eval_sum(expression: str) -> float:
    """Value of `a op b [op c]` as written by `calculate` (left to right; products come first there)."""
    parts = expression.split()
    value = float(parts[0])
    for operator, number in zip(parts[1::2], parts[2::2], strict=True):
        other = float(number)
        value = {"+": value + other, "-": value - other, "*": value * other, "/": value / other}[operator]
    return value


_TABLES = ("orders", "customers", "products", "members", "bookings", "books", "rooms", "payments", "employees", "courses", "주문", "고객", "상품", "직원", "예약")
_TEXT_COLUMNS = ("name", "city", "status", "category", "grade", "color", "team", "이름", "지역", "상태", "등급", "분류")
_NUMBER_COLUMNS = ("price", "amount", "age", "stock", "points", "salary", "seats", "가격", "금액", "나이", "재고", "점수")


def write_sql(r: Random) -> Row:
    """One SELECT over a table of the given schema."""
    ko = r.random() < 0.65
    tables = {t: (r.sample(_TEXT_COLUMNS, r.randint(1, 3)), r.sample(_NUMBER_COLUMNS, r.randint(1, 3))) for t in r.sample(_TABLES, r.randint(1, 3))}
    table = r.choice(list(tables))
    text, number = r.choice(tables[table][0]), r.choice(tables[table][1])
    word, limit = (n.word_ko(r) if ko else n.word_en(r)), r.randint(1, 500) * r.choice((1, 10))
    top = r.randint(2, 10)
    kinds = (
        (f"SELECT COUNT(*) FROM {table}", f"{table} 전체 건수는?|{table}~은 모두 몇 개인가요?|{table} 개수를 세어 줘", f"How many {table} are there?|Count all {table}."),
        (f"SELECT COUNT(*) FROM {table} WHERE {text} = '{word}'", f"{table} 중 {text}~이 {word}인 것은 몇 개야?|{text}~이 {word}인 {table} 수를 알려 줘", f"How many {table} have {text} {word}?|Count {table} where {text} is {word}"),
        (f"SELECT * FROM {table} WHERE {number} > {limit}", f"{number}~이 {limit}보다 큰 {table}~을 보여 줘|{table}에서 {number} {limit} 초과인 것", f"Show {table} with {number} above {limit}|List {table} whose {number} is more than {limit}"),
        (f"SELECT * FROM {table} WHERE {number} < {limit}", f"{number}~이 {limit}보다 작은 {table}~을 찾아 줘|{number} {limit} 미만인 {table} 목록", f"Show {table} with {number} below {limit}|List {table} whose {number} is less than {limit}"),
        (f"SELECT AVG({number}) FROM {table}", f"{table}의 {number} 평균은?|{table} {number} 평균을 구해 줘", f"What is the average {number} of {table}?|Average {number} in {table}"),
        (f"SELECT SUM({number}) FROM {table} WHERE {text} = '{word}'", f"{text}~이 {word}인 {table}의 {number} 합계는?|{table}에서 {text} {word}의 {number}~을 모두 더해 줘", f"Total {number} of {table} with {text} {word}?|Sum of {number} in {table} where {text} is {word}"),
        (f"SELECT * FROM {table} ORDER BY {number} DESC LIMIT {top}", f"{number}~이 가장 큰 {table} {top}개|{table}~을 {number} 높은 순으로 {top}개만", f"Top {top} {table} by {number}|The {top} {table} with the highest {number}"),
        (f"SELECT {text}, COUNT(*) FROM {table} GROUP BY {text}", f"{text}별 {table} 수는?|{table}~을 {text}별로 세어 줘", f"Number of {table} per {text}|Count {table} by {text}"),
        (f"SELECT MAX({number}) FROM {table}", f"{table}에서 가장 큰 {number}~은?|{table}의 최고 {number}", f"What is the highest {number} in {table}?|Maximum {number} of {table}"),
    )
    sql, question_ko, question_en = r.choice(kinds)
    question = n.join_particles(r.choice((question_ko if ko else question_en).split("|")))
    style = r.random()
    schema = "\n".join(
        f"CREATE TABLE {t} ({', '.join(['id INTEGER'] + [c + ' TEXT' for c in a] + [c + ' INTEGER' for c in b])});" if style < 0.5 else f"{t}({', '.join(['id', *a, *b])})" for t, (a, b) in tables.items()
    )
    head = r.choice(("다음 스키마로 SQL 하나를 쓰세요.", "질문에 맞는 SQL을 작성하세요.", "SQL만 답하세요.") if ko else ("Write one SQL query for the schema.", "Answer with SQL only.", "Translate the question to SQL."))
    return chat("write_sql", f"{head}\n{schema}", question, sql) if r.random() < 0.6 else chat("write_sql", head, f"{schema}\n\n{question}", sql)

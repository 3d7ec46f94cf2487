"""A calculator: exact sums with numbers, money, counts, times and dates as Korean and English text writes them.

"10만 원 * 1.1" is 110,000원; "3시간 20분 + 45분" is 4시간 5분; "2025-03-01 + 30일" is 2025-03-31. Numbers are fractions, so nothing
is rounded unless it is asked for. `+ -` bind least, then `* / // %`, then a sign, then `**` or `^`, which begins on the right.

Two readings are chosen where there are several: `%` is a remainder if a number, a name or a bracket follows, else per cent; and
adding per cent to anything else adds that share of it (100원 + 10% is 110원).

Covered:
- No Python runs: the text is read by the parser below, which knows numbers, operators and ten functions.
- Bounded work: characters, depth of brackets, digits of every value between; a power that would be longer is not begun.
- What has two meanings is refused: thousands grouped by commas in the arguments of a function, hours added to a plain number.

Not covered:
- Rates of exchange, months and years as amounts of time, trigonometry and logarithms.
"""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor, isqrt
from typing import Any, Literal

from pydantic import BaseModel

from sadari.agent.tools.place import Place
from sadari.errors import ToolFailedError
from sadari.text.forms import normalise
from sadari.text.numerals import digits_for_words
from sadari.text.quantities import quantities_in
from sadari.types import Caller, Outcome, Tool, ToolSpec, Traits

MOST_CHARS = 1_000
MOST_DEPTH = 40
MOST_BITS = 4_000
"""Of a numerator or a denominator: 1,200 decimal digits."""

_ROOT_DIGITS = 30
_SHOWN_DIGITS = 15
_LONGEST_FRACTION = 10**12

TIME, PERCENT, DATE = "time", "%", "date"
_MONEY = ("원", "달러", "유로", "엔", "위안", "파운드")
_ENGLISH = {"원": " won", "달러": " dollars", "일": " d", "시간": " h", "분": " min", "초": " s"}
_SECONDS = {"초": 1, "분": 60, "시간": 3_600, "일": 86_400, "주일": 604_800, "주": 604_800}


@dataclass(frozen=True, slots=True)
class Amount:
    """A number with its unit.

    Args:
        value: In seconds for `TIME`, in days since 0001-01-01 (which is 1) for `DATE`, in hundredths for `PERCENT`.
        unit: "" for a plain number, "원", "개", or one of the three above.
        shows_days: Of a time, that it was written in days or weeks and is told in days.
        is_exact: False after the root of a number that has no exact one.
    """

    value: Fraction
    unit: str = ""
    shows_days: bool = False
    is_exact: bool = True

    @property
    def factor(self) -> Fraction:
        """What it multiplies by: a hundredth of its value for per cent."""
        return self.value / 100 if self.unit == PERCENT else self.value

    def with_value(self, value: Fraction) -> "Amount":
        """Another number with the same unit."""
        return Amount(value, self.unit, self.shows_days, self.is_exact)


class CalculationError(ValueError):
    """What is wrong with an expression, in Korean and in English."""

    def __init__(self, ko: str, en: str) -> None:
        super().__init__(en)
        self.messages = {"ko": ko, "en": en}


def calculate(expression: str) -> Amount:
    """The value of an expression, exactly.

    Raises:
        CalculationError: If it cannot be read, has no value, or is too large.
    """
    if len(expression) > MOST_CHARS:
        raise CalculationError(
            f"식이 {len(expression)}자입니다. {MOST_CHARS}자까지 계산합니다. 나누어 계산하세요.",
            f"The expression has {len(expression)} characters; {MOST_CHARS} are read. Calculate it in parts.",
        )
    return _Parser(_tokens(normalise(expression))).whole()


def spell(amount: Amount, language: Literal["ko", "en"] = "ko") -> str:
    """An amount as a person writes it: 110,000원, 4시간 5분, 2025-03-31, 1/3 (≈ 0.333333333333333)."""
    if amount.unit == DATE:
        return date.fromordinal(int(amount.value)).isoformat()
    if amount.unit == TIME:
        return ("" if amount.is_exact else "≈ ") + _spell_time(amount, language)
    grouped = amount.unit in _MONEY
    unit = _ENGLISH.get(amount.unit, amount.unit) if language == "en" else amount.unit
    if amount.is_exact and _is_finite(amount.value):
        return f"{_exact(amount.value, grouped)}{unit}"
    near = f"≈ {_decimal(amount.value, grouped)}{unit}"
    numerator, denominator = amount.value.numerator, amount.value.denominator
    if not amount.is_exact or max(abs(numerator), denominator) > _LONGEST_FRACTION:
        return near
    return f"{numerator}/{denominator}{unit} ({near})"


# --- tokens ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # "amount", "name", "end", or the sign itself
    text: str
    amount: Amount | None = None


_SIGNS = {"×": "*", "✕": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "^": "**", ";": ",", "[": "(", "]": ")"}
_SIGNS |= {"더하기": "+", "빼기": "-", "곱하기": "*", "나누기": "/"}
_LEXER = re.compile(
    r"(?P<space>\s+|=\s*\??\s*$)"
    r"|(?P<date>(?<!\d)\d{4}(?:-\d{1,2}-\d{1,2}|\s?년\s?\d{1,2}\s?월\s?\d{1,2}\s?일)(?!\d))"
    r"|(?P<name>[A-Za-z가-힣_]+)\s*(?=\()"
    r"|(?P<number>(?!0[xX])(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?(?!(?![xX][\s\d(])[\w,.$₩])(?!\s*[A-WYZa-wyz가-힣$₩]))"
    r"|(?P<words>더하기|빼기|곱하기|나누기)"
    r"|(?P<of>의(?=\s))"
    r"|(?P<times>[xX](?=[\s\d(]))"
    r"|(?P<sign>\*\*|//|[-+*/%^()\[\],;×✕·÷−–])"
    r"|(?P<quantity>(?:(?!의\s|더하기|빼기|곱하기|나누기)(?:[\w.₩$]|(?<=\d),(?=\d{3}(?!\d))|\s(?=[\w₩$])(?![xX]\s)))+)"
)
_BEGINS_OPERAND = re.compile(r"\s*(?!\s|[xX]\s|의\s|더하기|빼기|곱하기|나누기)[\w(.]")


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    while position < len(text):
        found = _LEXER.match(text, position)
        if found is None:
            raise CalculationError(
                f'"{text[position]}"은(는) 식에 쓸 수 없습니다. 예: (1,200원 * 3 + 2,500원) * 0.9',
                f'"{text[position]}" has no place in an expression. Example: (1200 * 3 + 2500) * 0.9',
            )
        position = found.end()
        tokens += _read_token(str(found.lastgroup), found[str(found.lastgroup)], text[position : position + 20])
    _refuse_thousands_among_arguments(tokens)
    return [*tokens, _Token("end", "")]


def _read_token(kind: str, written: str, rest: str) -> list[_Token]:
    if kind == "space":
        return []
    if kind == "name":
        return [_Token("name", written.lower())]
    if kind == "number":
        return [_Token("amount", written, Amount(_bounded(Fraction(Decimal(written)))))]
    if kind == "date":
        return [_Token("amount", written, Amount(Fraction(_ordinal(written)), DATE))]
    if kind == "quantity":
        return [_Token("amount", written, _quantity(written))]
    if written == "%":
        return [_Token("%" if _BEGINS_OPERAND.match(rest) else "percent", "%")]
    return [_Token({"of": "*", "times": "*"}.get(kind) or _SIGNS.get(written, written), written)]


def _ordinal(written: str) -> int:
    year, month, day = (int(figures) for figures in re.findall(r"\d+", written))
    try:
        return date(year, month, day).toordinal()
    except ValueError as error:
        raise CalculationError(f"{written}은(는) 없는 날짜입니다.", f"There is no date {written}.") from error


def _quantity(written: str) -> Amount:
    """10만 원 -> 100000 원; 3시간 20분 -> 12000 seconds."""
    read, _ = digits_for_words(written.strip())
    found = quantities_in(read)
    left_over = read
    for quantity in reversed(found):
        left_over = left_over[: quantity.start] + left_over[quantity.end :]
    if not found or left_over.strip() or any(quantity.value is None for quantity in found):
        raise CalculationError(
            f'"{written.strip()}"을(를) 수나 단위로 읽을 수 없습니다. '
            "숫자, 금액(10만 원), 시간(3시간 20분), 날짜(2025-03-01)만 씁니다.",
            f'"{written.strip()}" is no number or unit. '
            "Use numbers, money (10만 원, $12.50), times (3 hours 20 minutes), dates (2025-03-01).",
        )
    amounts = [_one(Fraction(quantity.value or 0), quantity.unit) for quantity in found]
    if len(amounts) > 1 and any(amount.unit != TIME for amount in amounts):
        raise CalculationError(
            f'"{written.strip()}"에 연산자가 없습니다. 수 사이에 + - * / 중 하나를 쓰세요.',
            f'"{written.strip()}" has no operator between its numbers: write + - * or /.',
        )
    total = sum((amount.value for amount in amounts), Fraction(0))
    return Amount(_bounded(total), amounts[0].unit, any(amount.shows_days for amount in amounts))


def _one(value: Fraction, unit: str) -> Amount:
    if unit in _SECONDS:
        return Amount(value * _SECONDS[unit], TIME, shows_days=_SECONDS[unit] >= _SECONDS["일"])
    return Amount(value, unit)


def _refuse_thousands_among_arguments(tokens: Sequence[_Token]) -> None:
    """max(100,200) would be read as one number; nobody can tell which was meant."""
    names = any(token.kind == "name" for token in tokens)
    written = next((token.text for token in tokens if token.kind == "amount" and "," in token.text), None)
    if names and written:
        raise CalculationError(
            f'"{written.strip()}"의 쉼표가 천 단위인지 인수 구분인지 알 수 없습니다. '
            "함수가 있는 식에서는 천 단위 쉼표를 빼고, 인수는 쌍반점으로 나누세요: max(1200원; 900원)",
            f'The comma of "{written.strip()}" may group thousands or separate arguments. '
            "With functions write thousands without commas, and arguments apart by semicolons: max(1200; 900)",
        )


# --- the parser --------------------------------------------------------------------------------------------------------


class _Parser:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, tokens: Sequence[_Token]) -> None:
        self._tokens = tokens
        self._place = 0
        self._depth = 0

    def whole(self) -> Amount:
        value = self._sum()
        if self._next.kind != "end":
            raise self._unexpected()
        return value

    @property
    def _next(self) -> _Token:
        return self._tokens[self._place]

    def _take(self, *kinds: str) -> _Token | None:
        if self._next.kind not in kinds:
            return None
        self._place += 1
        return self._tokens[self._place - 1]

    def _sum(self) -> Amount:
        value = self._product()
        while sign := self._take("+", "-"):
            value = _add(value, self._product(), 1 if sign.kind == "+" else -1)
        return value

    def _product(self) -> Amount:
        value = self._signed()
        while sign := self._take("*", "/", "//", "%"):
            value = _BY_SIGN[sign.kind](value, self._signed())
        return value

    def _signed(self) -> Amount:
        sign = 1
        while found := self._take("-", "+"):
            sign = -sign if found.kind == "-" else sign
        value = self._power()
        return value if sign == 1 else _negated(value)

    def _power(self) -> Amount:
        base = self._per_cent()
        if not self._take("**"):
            return base
        self._deepen()
        exponent = self._signed()
        self._depth -= 1
        return _raise(base, exponent)

    def _per_cent(self) -> Amount:
        value = self._atom()
        while self._take("percent"):
            value = Amount(_plain(value, "%").value, PERCENT, is_exact=value.is_exact)
        return value

    def _atom(self) -> Amount:
        if token := self._take("amount"):
            assert token.amount is not None
            return token.amount
        if token := self._take("name"):
            return self._call(token.text)
        if not self._take("("):
            raise self._unexpected()
        self._deepen()
        value = self._sum()
        self._close()
        return value

    def _call(self, name: str) -> Amount:
        if name not in _FUNCTIONS:
            near = difflib.get_close_matches(name, _FUNCTIONS, 1, 0.5)
            known = ", ".join(_FUNCTIONS)
            raise CalculationError(
                f"{name}(이)라는 함수는 없습니다."
                + (f" {near[0]}을(를) 쓰려던 것인가요?" if near else "")
                + f" 쓸 수 있는 함수: {known}",
                f"There is no function {name}." + (f" Did you mean {near[0]}?" if near else "") + f" Functions: {known}",
            )
        self._take("(")
        self._deepen()
        values = [self._sum()]
        while self._take(","):
            values.append(self._sum())
        self._close()
        least, most, apply = _FUNCTIONS[name]
        if not least <= len(values) <= most:
            raise CalculationError(
                f"{name}에 값이 {len(values)}개 주어졌습니다. {least}개 이상 {most}개 이하여야 합니다.",
                f"{name} was given {len(values)} values; it takes {least} to {most}.",
            )
        return apply(values)

    def _deepen(self) -> None:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise CalculationError(f"괄호가 {MOST_DEPTH}겹보다 깊습니다.", f"Brackets are nested deeper than {MOST_DEPTH}.")

    def _close(self) -> None:
        self._depth -= 1
        if not self._take(")"):
            raise self._unexpected("닫는 괄호 )", "a closing bracket )")

    def _unexpected(self, ko: str = "수나 여는 괄호", en: str = "a number or an opening bracket") -> CalculationError:
        if self._next.kind == "end":
            return CalculationError(f"식이 끝났는데 {ko}이(가) 더 있어야 합니다.", f"The expression ends where {en} should follow.")
        return CalculationError(
            f'"{self._next.text.strip()}" 자리를 읽을 수 없습니다. 연산자나 괄호를 확인하세요.',
            f'"{self._next.text.strip()}" cannot stand there: check operators and brackets.',
        )


# --- arithmetic --------------------------------------------------------------------------------------------------------


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MOST_BITS:
        raise _too_large()
    return value


def _too_large() -> CalculationError:
    return CalculationError("수가 너무 큽니다. 1,200자리까지 계산합니다.", "The number is too large: 1,200 digits are kept.")


def _made(value: Fraction, unit: str, *parts: Amount) -> Amount:
    return Amount(
        _bounded(value), unit, any(part.shows_days for part in parts if part.unit == TIME), all(part.is_exact for part in parts)
    )


def _units_differ(verb: tuple[str, str], left: Amount, right: Amount) -> CalculationError:
    names = {"": ("단위 없는 수", "a plain number"), TIME: ("시간", "a time"), DATE: ("날짜", "a date")}
    (l_ko, l_en), (r_ko, r_en) = (names.get(amount.unit, (amount.unit, amount.unit)) for amount in (left, right))
    return CalculationError(
        f"{l_ko}와(과) {r_ko}은(는) {verb[0]} 수 없습니다. 같은 단위로 쓰거나 단위를 빼세요.",
        f"{l_en} and {r_en} cannot be {verb[1]}: write both in one unit, or leave units out.",
    )


def _add(left: Amount, right: Amount, sign: int) -> Amount:
    if right.unit == PERCENT and left.unit != PERCENT:
        if left.unit == DATE:
            raise _units_differ(("더할", "added"), left, right)
        return _made(left.value * (1 + sign * right.factor), left.unit, left, right)
    if DATE in (left.unit, right.unit):
        return _add_to_date(left, right, sign)
    if left.unit == right.unit:
        return _made(left.value + sign * right.value, left.unit, left, right)
    if TIME in (left.unit, right.unit) or (left.unit and right.unit):
        raise _units_differ(("더하거나 뺄", "added or subtracted"), left, right)
    return _made(left.value + sign * right.value, left.unit or right.unit, left, right)  # 1,200원 + 300: the same money is meant


def _add_to_date(left: Amount, right: Amount, sign: int) -> Amount:
    if left.unit == right.unit == DATE and sign == -1:
        return Amount((left.value - right.value) * _SECONDS["일"], TIME, shows_days=True)
    days, day = (left, right) if right.unit == DATE else (right, left)
    length = days.value / _SECONDS["일"]
    if days.unit != TIME or length.denominator != 1 or (sign == -1 and day is right):
        raise _units_differ(("더하거나 뺄", "added or subtracted"), left, right)
    moved = day.value + sign * length
    if not date.min.toordinal() <= moved <= date.max.toordinal():
        raise CalculationError("날짜가 달력을 벗어납니다.", "The date lies outside the calendar (years 1 to 9999).")
    return Amount(moved, DATE)


def _negated(value: Amount) -> Amount:
    if value.unit == DATE:
        raise _units_differ(("뺄", "negated"), value, value)
    return value.with_value(-value.value)


def _multiply(left: Amount, right: Amount) -> Amount:
    return _made(left.factor * right.factor, _unit_of_product(left, right), left, right)


def _unit_of_product(left: Amount, right: Amount) -> str:
    scalars = ("", PERCENT)
    if DATE in (left.unit, right.unit):
        raise _units_differ(("곱할", "multiplied"), left, right)
    if left.unit in scalars or right.unit in scalars:
        return next((amount.unit for amount in (left, right) if amount.unit not in scalars), "")
    strong = [amount.unit for amount in (left, right) if amount.unit in (*_MONEY, TIME)]
    if len(strong) == 1:  # 1,200원 * 3개, 20분 * 3회: a count counts
        return strong[0]
    raise _units_differ(("곱할", "multiplied"), left, right)


def _divide(left: Amount, right: Amount) -> Amount:
    unit = _unit_of_quotient(left, right)
    return _made(left.factor / _not_zero(right), unit, left, right)


def _unit_of_quotient(left: Amount, right: Amount) -> str:
    if DATE in (left.unit, right.unit):
        raise _units_differ(("나눌", "divided"), left, right)
    if left.unit == right.unit:
        return ""
    if right.unit in ("", PERCENT):
        return "" if left.unit == PERCENT else left.unit
    if left.unit in (*_MONEY, TIME) and right.unit not in (*_MONEY, TIME):
        return left.unit
    raise _units_differ(("나눌", "divided"), left, right)


def _not_zero(amount: Amount) -> Fraction:
    if amount.value == 0:
        raise CalculationError("0으로 나눌 수 없습니다.", "Division by zero has no value.")
    return amount.factor


def _divide_whole(left: Amount, right: Amount) -> Amount:
    if left.unit == TIME and right.unit != TIME:
        raise _units_differ(("정수로 나눌", "divided to a whole number"), left, right)
    unit = _unit_of_quotient(left, right)
    return _made(Fraction(floor(left.factor / _not_zero(right))), unit, left, right)


def _remainder(left: Amount, right: Amount) -> Amount:
    if left.unit != right.unit and right.unit not in ("", PERCENT):
        raise _units_differ(("나눌", "divided"), left, right)
    if left.unit in (DATE, TIME) and right.unit != left.unit:
        raise _units_differ(("나눌", "divided"), left, right)
    return _made(left.factor % _not_zero(right), "" if left.unit == PERCENT else left.unit, left, right)


_BY_SIGN: Mapping[str, Callable[[Amount, Amount], Amount]] = {
    "*": _multiply,
    "/": _divide,
    "//": _divide_whole,
    "%": _remainder,
}


def _raise(base: Amount, exponent: Amount) -> Amount:
    power = _plain(exponent, "**").value
    if power.denominator != 1:
        raise CalculationError(
            "지수는 정수여야 합니다. 제곱근은 sqrt(...)를 쓰세요.", "Exponents are whole numbers; for roots use sqrt(...)."
        )
    number = _plain(base, "**").factor
    bits = max(number.numerator.bit_length(), number.denominator.bit_length())
    if abs(number) not in (0, 1) and (abs(power) > MOST_BITS or bits * abs(power) > 2 * MOST_BITS):
        raise _too_large()  # told before it is tried
    if number == 0 and power < 0:
        raise CalculationError("0으로 나눌 수 없습니다.", "Division by zero has no value.")
    if abs(number) <= 1 and number.denominator == 1:
        power = Fraction(int(power) % 2 + 2 if power else 0)  # 1 ** 10**300 takes no time
    return _made(number ** int(power), "", base, exponent)


def _plain(amount: Amount, where: str) -> Amount:
    if amount.unit not in ("", PERCENT):
        raise CalculationError(f"{where}에는 단위 없는 수를 쓰세요.", f"{where} takes a plain number, without a unit.")
    return amount


# --- functions ---------------------------------------------------------------------------------------------------------


def _stepped(nearest: Callable[[Fraction], int]) -> Callable[[Sequence[Amount]], Amount]:
    """A rounding function of a value and, optionally, the number of decimal places (negative for tens and hundreds)."""

    def apply(values: Sequence[Amount]) -> Amount:
        amount = values[0]
        places = _plain(values[1], "round").value if len(values) > 1 else Fraction(0)
        if places.denominator != 1 or abs(places) > 100:
            raise CalculationError(
                "자릿수는 -100에서 100 사이의 정수입니다.", "Decimal places are a whole number from -100 to 100."
            )
        if amount.unit == DATE:
            raise _units_differ(("반올림할", "rounded"), amount, amount)
        step = Fraction(10) ** -int(places)
        return amount.with_value(_bounded(nearest(amount.value / step) * step))

    return apply


def _half_away(value: Fraction) -> int:
    return floor(value + Fraction(1, 2)) if value >= 0 else -floor(-value + Fraction(1, 2))


def _sum_of(values: Sequence[Amount]) -> Amount:
    total = values[0]
    for value in values[1:]:
        total = _add(total, _same_kind(total, value), 1)
    return total


def _same_kind(first: Amount, other: Amount) -> Amount:
    if first.unit != other.unit:
        raise _units_differ(("비교하거나 더할", "compared or summed"), first, other)
    return other


def _chosen(best: Callable[..., Amount]) -> Callable[[Sequence[Amount]], Amount]:
    return lambda values: best((_same_kind(values[0], value) for value in values), key=lambda amount: amount.value)


def _mean(values: Sequence[Amount]) -> Amount:
    return _divide(_sum_of(values), Amount(Fraction(len(values))))


def _absolute(values: Sequence[Amount]) -> Amount:
    return values[0].with_value(abs(values[0].value))


def _root(values: Sequence[Amount]) -> Amount:
    number = _plain(values[0], "sqrt").factor
    if number < 0:
        raise CalculationError("음수의 제곱근은 없습니다.", "A negative number has no real root.")
    top, bottom = isqrt(number.numerator), isqrt(number.denominator)
    if top * top == number.numerator and bottom * bottom == number.denominator:
        return Amount(Fraction(top, bottom), is_exact=values[0].is_exact)
    scale = 10**_ROOT_DIGITS
    return Amount(
        Fraction(isqrt(number.numerator * number.denominator * scale * scale), number.denominator * scale), is_exact=False
    )


def _share(values: Sequence[Amount]) -> Amount:
    ratio = _divide(values[0], _same_kind(values[0], values[1]))
    return Amount(_bounded(ratio.value * 100), PERCENT, is_exact=ratio.is_exact)


_MANY = 200
_NAMED: Mapping[tuple[str, ...], tuple[int, int, Callable[[Sequence[Amount]], Amount]]] = {
    ("round", "반올림"): (1, 2, _stepped(_half_away)),
    ("floor", "내림"): (1, 2, _stepped(floor)),
    ("ceil", "올림"): (1, 2, _stepped(ceil)),
    ("min", "최소"): (1, _MANY, _chosen(min)),
    ("max", "최대"): (1, _MANY, _chosen(max)),
    ("sum", "합", "합계"): (1, _MANY, _sum_of),
    ("avg", "mean", "평균"): (1, _MANY, _mean),
    ("sqrt", "제곱근"): (1, 1, _root),
    ("abs", "절댓값"): (1, 1, _absolute),
    ("percent", "비율"): (2, 2, _share),
}
_FUNCTIONS = {name: function for names, function in _NAMED.items() for name in names}


# --- spelling ----------------------------------------------------------------------------------------------------------


def _is_finite(value: Fraction) -> bool:
    """Whether its decimal spelling ends."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


def _exact(value: Fraction, grouped: bool) -> str:
    places = 0
    while (value * 10**places).denominator != 1:
        places += 1
    return _digits(int(value * 10**places), places, grouped)


def _decimal(value: Fraction, grouped: bool) -> str:
    """With `_SHOWN_DIGITS` significant digits, or all those before the point."""
    magnitude = len(str(abs(int(value)))) if abs(value) >= 1 else 0
    places = max(2, _SHOWN_DIGITS - magnitude) if value == 0 or abs(value) > Fraction(1, 10**10) else 40
    spelled = _digits(_half_away(value * 10**places), places, grouped)
    return spelled.rstrip("0").rstrip(".") if "." in spelled else spelled


def _digits(scaled: int, places: int, grouped: bool) -> str:
    whole, part = divmod(abs(scaled), 10**places)
    sign = "-" if scaled < 0 else ""
    return f"{sign}{whole:{',' if grouped else ''}}" + (f".{part:0{places}}" if places else "")


def _spell_time(amount: Amount, language: Literal["ko", "en"]) -> str:
    units = ("일", "시간", "분") if amount.shows_days else ("시간", "분")
    names = {unit: _ENGLISH[unit] if language == "en" else unit for unit in (*units, "초")}
    rest, pieces = abs(amount.value), []
    for unit in units:
        count, rest = divmod(rest, _SECONDS[unit])
        if count:
            pieces.append(f"{count}{names[unit]}")
    if rest:
        pieces.append((_exact(rest, False) if _is_finite(rest) else _decimal(rest, False)) + names["초"])
    nothing = f"0{names['일' if amount.shows_days else '초']}"
    return ("-" if amount.value < 0 else "") + (" ".join(pieces) or nothing)


# --- the tool ----------------------------------------------------------------------------------------------------------


class CalculatorOptions(BaseModel, frozen=True, extra="forbid"):
    """Settings of the calculator, as written under `tools:`; there are none."""


_DESCRIPTION = {
    "ko": "식을 정확히 계산합니다. 수, 금액(10만 원), 시간(3시간 20분), 날짜(2025-03-01), %를 씁니다. "
    "연산자 + - * / // % **, 함수 round floor ceil min max sum avg sqrt abs percent.",
    "en": "Calculates an expression exactly: numbers, money ($12.50, 10만 원), times (3 hours 20 minutes), dates (2025-03-01), "
    "per cent. Operators + - * / // % **, functions round floor ceil min max sum avg sqrt abs percent.",
}
_ARGUMENT = {"ko": "계산할 식. 예: 10만 원 * 1.1", "en": "The expression, for example (1200 * 3 + 2500) * 0.9"}


@dataclass(frozen=True, slots=True)
class _Calculator:
    spec: ToolSpec
    traits: Traits

    def call(self, arguments: Mapping[str, Any], caller: Caller) -> Outcome:
        try:
            amount = calculate(str(arguments["expression"]))
        except CalculationError as error:
            raise ToolFailedError(error.messages[caller.language]) from error
        return Outcome(spell(amount, caller.language), {"value": str(amount.value), "unit": amount.unit, "exact": amount.is_exact})


def open_calculator(options: CalculatorOptions, place: Place) -> list[Tool]:
    """The tool `calculator`: one expression in, its exact value out."""
    parameters = {
        "type": "object",
        "properties": {"expression": {"type": "string", "description": _ARGUMENT[place.language], "maxLength": MOST_CHARS}},
        "required": ["expression"],
        "additionalProperties": False,
    }
    traits = Traits(is_idempotent=True, is_trusted=True, timeout_s=15.0, max_chars=2_000)  # the first amount compiles a grammar
    return [_Calculator(ToolSpec("calculator", _DESCRIPTION[place.language], parameters), traits)]

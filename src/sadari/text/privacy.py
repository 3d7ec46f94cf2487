"""Personal data in text, Korean first: what a data set should not hold, and a model should not learn.

Covered: resident and foreigner registration numbers, business and corporate registration numbers, payment cards, phone numbers,
e-mail, bank accounts, passports, driver's licences, street addresses, public IP addresses, and names under a label
("이름: ..."). Numbers may be spaced, dotted, full-width, or cut by invisible characters.

Not covered: names, addresses and birthdays in running prose without a label or a street number; pictures; company hotlines
(1588-..., 080-...), numbers that nobody can have (02-000-...), private and example IP addresses without a label.
"""

import re
from collections.abc import Iterator
from datetime import date
from functools import cache
from ipaddress import ip_address

from sadari.text.addresses import address_rules
from sadari.text.findings import Certainty, Finding, Gate, Rule, always, is_near, read, search, words
from sadari.text.names import name_rules

KINDS = (
    *("resident", "business", "corporate", "card", "licence", "passport", "email", "phone", "account", "ip", "address", "name"),
)
"""What `find_personal` may call a finding."""

_Verdict = tuple[str, Certainty] | None
_OLDEST = 110
"""Years; the first six digits of a corporate number read as a birthday before that."""


def find_personal(text: str) -> list[Finding]:
    """Personal data in the text, in its order, without overlaps; positions are those of `text` as given.

    A finding is "sure" if its check digit, its fixed form or a label beside it says so; a date-valid resident number without a
    right check digit is "probable", since numbers issued from October 2020 on have none. Time is linear in the length.

    Source:
        Check digits: `stdnum.kr.rrn` and `stdnum.luhn` of python-stdnum; business and corporate numbers by the published rules of
        the National Tax Service (weights 1 3 7 1 3 7 1 3 5, with the tens of the last product) and of the registry of companies
        (weights 1 2 1 2 ...). Numbering plan: Korean telephone numbers, ITU-T E.164 country code 82.
    """
    return search(text, _rules())


def value_of(finding: Finding) -> str:
    """What two findings share that mean the same: 010-1234-5678 and +82 10 1234 5678 are one number."""
    plain = read(finding.text).text
    if finding.kind == "phone":
        spelt = plain.translate(_SPELT)
        digits = re.sub(r"[^0-9]", "", spelt)
        if spelt.lstrip("( ").startswith("+82") or digits.startswith(("8210", "0082")):
            digits = "0" + re.sub(r"^0*82", "", digits).lstrip("0")
        return digits
    if finding.kind in ("resident", "business", "corporate", "card", "licence", "account"):
        return re.sub(r"[^0-9]", "", plain)
    if finding.kind == "email":
        return _AT.sub("@", _DOT.sub(".", plain)).replace(" ", "").casefold()
    return re.sub(r"[\s,]+", "", plain).casefold()


# --- words that say what a number is ----------------------------------------------------------------------------------------


_PHONE_WORDS = words("전화", "연락처", "휴대폰", "핸드폰", "폰번호", "팩스", r"\b(?:tel|fax|phone|mobile|cell|call)\b")
_RESIDENT_WORDS = words("주민", "외국인", "등록번호", r"\brrn\b", r"\barc\b")
_BUSINESS_WORDS = words("사업자", "등록번호", r"\bbrn\b", "business")
_CORPORATE_WORDS = words("법인")
_CARD_WORDS = words("카드", r"\bcards?\b", r"\bvisa\b", "master", r"\bamex\b")
_LICENCE_WORDS = words("면허", r"\blicen[cs]e\b")
_ACCOUNT_WORDS = words("계좌", "account (?:no|number)", "bank account", "예금주")
_BANK_WORDS = words(
    *("은행", "카카오뱅크", "카뱅", "토스뱅크", "케이뱅크", "농협", "수협", "신협", "새마을금고", "우체국", "국민", "신한"),
    *("기업", "씨티", r"\bim뱅크", r"\bkb", r"\bnh", r"\bibk\b", r"\bsc제일"),
)
_IP_WORDS = words(r"\bip\b", "아이피")
_ORDER_WORDS = words(
    *("주문", "접수", "송장", "운송장", "예약", "승인", "티켓", "일련", "상품", "품번", "모델", "바코드", "문서", "버전", "쿠폰"),
    *(
        r"\border",
        "invoice",
        "tracking",
        "ticket",
        r"\bserial",
        r"\bsku\b",
        "barcode",
        "version",
        "timestamp",
        r"\bts\b",
        r"\bisbn",
    ),
)
_DOCUMENT_BEFORE = re.compile(r"제 ?$")
_DOCUMENT_AFTER = re.compile(r" ?호(?![가-힣])")


def _digits(match: re.Match[str]) -> str:
    return re.sub(r"[^0-9]", "", match["it"] if "it" in match.re.groupindex else match[0])


def _is_order(match: re.Match[str]) -> bool:
    return is_near(match, _ORDER_WORDS, before=16)


# --- registration numbers ---------------------------------------------------------------------------------------------------


def _judge_resident(match: re.Match[str]) -> _Verdict:
    """A resident, foreigner or corporate number: six digits and seven."""
    digits, is_joined = _digits(match), match["sep"] == ""
    is_spaced = not match["sep"].strip()
    labelled = is_near(match, _RESIDENT_WORDS, before=16) and not is_near(match, _CORPORATE_WORDS, before=16)
    checked = _has_resident_check(digits)
    if _is_birthday(digits, within=_OLDEST) or (labelled and checked and _is_birthday(digits, within=2 * _OLDEST)):
        if labelled:
            return "resident", "sure" if checked else "probable"
        if is_joined:
            plausible = checked and digits[6] in "1234" and not _is_order(match) and not _is_barcode(digits)
            return ("resident", "probable") if plausible else None
        if checked:
            return "resident", "probable" if _is_order(match) else "sure"
        if not is_spaced and digits[6] in "12345678" and not _is_order(match):
            return "resident", "probable"
        return None
    return _judge_corporate(match, digits)


def _judge_corporate(match: re.Match[str], digits: str) -> _Verdict:
    checked = (10 - sum(int(digit) * (1 + at % 2) for at, digit in enumerate(digits[:12])) % 10) % 10 == int(digits[12])
    if is_near(match, _CORPORATE_WORDS, before=16):
        return "corporate", "sure" if checked else "probable"
    is_registry = 11 <= int(digits[:2]) <= 28 and digits[4:6] in ("11", "12", "13", "14", "15", "21", "22")
    return ("corporate", "probable") if checked and is_registry and match["sep"].strip() == "-" and not _is_order(match) else None


def _is_birthday(digits: str, *, within: int) -> bool:
    century = {"1": 1900, "2": 1900, "5": 1900, "6": 1900, "3": 2000, "4": 2000, "7": 2000, "8": 2000}.get(digits[6], 1800)
    today = date.today()
    try:
        born = date(century + int(digits[:2]), int(digits[2:4]), int(digits[4:6]))
    except ValueError:
        return False
    return today.year - within <= born.year and born <= today


def _has_resident_check(digits: str) -> bool:
    from stdnum.kr import rrn

    check = int(rrn.calc_check_digit(digits[:12]))
    return digits[12] == str(check) or (digits[6] in "5678" and digits[12] == str((check + 2) % 10))  # foreigners: two more


def _is_barcode(digits: str) -> bool:
    from stdnum import ean

    return digits.startswith("880") and bool(ean.is_valid(digits))


def _judge_business(match: re.Match[str]) -> _Verdict:
    from stdnum.kr import brn

    digits = _digits(match)
    labelled = is_near(match, _BUSINESS_WORDS, before=16)
    if not brn.is_valid(digits):
        return None
    products = [int(digit) * weight for digit, weight in zip(digits, (1, 3, 7, 1, 3, 7, 1, 3, 5), strict=False)]
    checked = (10 - (sum(products) + products[8] // 10) % 10) % 10 == int(digits[9])
    if labelled:
        return "business", "sure" if checked else "probable"
    is_hyphened = match[0].count("-") == 2
    return ("business", "sure") if checked and is_hyphened and not _is_order(match) else None


# --- cards, accounts, documents ---------------------------------------------------------------------------------------------

_ISSUERS = re.compile("4|5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720|3[47]|3[68]|30[0-5]|35[2-8]|6011|64[4-9]|65|62|9[4-6]")
"""Visa, Mastercard, American Express, Diners, JCB, Discover, UnionPay, Korean domestic. Source: ISO/IEC 7812 issuer ranges."""


def _judge_card(match: re.Match[str]) -> _Verdict:
    from stdnum import luhn

    digits = _digits(match)
    labelled = is_near(match, _CARD_WORDS)
    if len(set(digits)) < 2:
        return None
    if luhn.is_valid(digits) and _ISSUERS.match(digits):
        is_grouped = bool(match["sep"])
        if not labelled and _is_order(match):
            return None
        return "card", "sure" if is_grouped or labelled else "probable"
    return ("card", "probable") if labelled and match["sep"] and not _is_order(match) else None


def _judge_account(match: re.Match[str]) -> _Verdict:
    digits = _digits(match)
    if not 10 <= len(digits) <= 14 or match.string[match.end() : match.end() + 1] in ("원", "%"):
        return None
    has_account, has_bank = is_near(match, _ACCOUNT_WORDS), is_near(match, _BANK_WORDS, before=16)
    if (not has_account and not has_bank) or (_is_order(match) and not has_account):
        return None
    return "account", "sure" if has_account or "-" in match[0] else "probable"


def _judge_licence(match: re.Match[str]) -> _Verdict:
    if not 11 <= int(match[0][:2]) <= 28:  # provinces
        return None
    if is_near(match, _LICENCE_WORDS):
        return "licence", "sure"
    return ("licence", "probable") if "-" in match[0] and not _is_order(match) else None


# --- phones, e-mail, addresses of machines ----------------------------------------------------------------------------------


def _judge_phone(match: re.Match[str]) -> _Verdict:
    text = match.string
    if _DOCUMENT_BEFORE.search(text[max(0, match.start() - 2) : match.start()]) or _DOCUMENT_AFTER.match(text, match.end()):
        return None
    labelled = is_near(match, _PHONE_WORDS, before=16)
    is_joined = match[0].strip("()").isdigit()
    if is_joined and not match[0].startswith("010") and not labelled:
        return None
    if is_joined and not labelled and _is_order(match):
        return None
    return "phone", "sure"


def _judge_korean_abroad(match: re.Match[str]) -> _Verdict:
    before = match.string[max(0, match.start() - 1) : match.start()]
    return None if before.isalnum() or before in set("-.+") else ("phone", "sure")


def _judge_foreign_phone(match: re.Match[str]) -> _Verdict:
    digits = _digits(match)
    if not 8 <= len(digits) <= 15:
        return None
    if match[0].startswith(("+", "(")) and not match[0][1:].isdigit():
        return "phone", "sure"
    return ("phone", "probable") if is_near(match, _PHONE_WORDS, before=16) else None


_FILES = (
    "png",
    "jpg",
    "jpeg",
    "gif",
    "webp",
    "svg",
    "ico",
    "css",
    "js",
    "mjs",
    "ts",
    "py",
    "md",
    "json",
    "html",
    "service",
    "local",
)
_RESERVED = re.compile(r"[@.](?:example(?:\.(?:com|net|org))?|test|invalid)$")
"""Domains that nobody owns. Source: RFC 2606, RFC 6761."""


def _judge_email(match: re.Match[str]) -> _Verdict:
    text, address = match.string, match[0]
    if address.rpartition(".")[2].lower() in _FILES or address.startswith("git@"):
        return None
    before = text[max(0, match.start() - 80) : match.start()].rpartition(" ")[2]
    if "://" in before and before.endswith((":", "//")):
        return None  # user:password@host in an address is a credential
    return "email", "probable" if _RESERVED.search(address.lower()) else "sure"


def _judge_ip(match: re.Match[str]) -> _Verdict:
    try:
        address = ip_address(match[0])
    except ValueError:
        return None
    if (
        address.is_loopback
        or address.is_unspecified
        or _VERSION_BEFORE.search(match.string, max(0, match.start() - 12), match.start())
    ):
        return None
    labelled = is_near(match, _IP_WORDS, before=20)
    if address.version == 4 and all(int(part) < 30 for part in match[0].split(".")):  # so are sections and versions numbered
        return ("ip", "probable") if labelled else None
    if not address.is_global or address.is_multicast:
        return ("ip", "probable") if labelled else None
    return "ip", "sure" if labelled or address.version == 6 else "probable"


_VERSION_BEFORE = re.compile(r"(?:\bv|버전|version|ver\.?|release|릴리스)[ :=]*\Z", re.IGNORECASE)


# --- the rules -----------------------------------------------------------------------------------------------------------------

_SPELT = str.maketrans("공영일이삼사오육륙칠팔구", "001234566789")
_AT = re.compile(r"[ ]?(?:\(at\)|\[at\]|\(골뱅이\)|골뱅이|@)[ ]?", re.IGNORECASE)
_DOT = re.compile(r"[ ]?(?:\(dot\)|\[dot\]|\(점\))[ ]?", re.IGNORECASE)
_SEP = r"(?:[ ]{0,2}[-./~·)][ ]{0,2}|[ ]{1,2})"
_OPEN = r"(?<![0-9A-Za-z_].)(?<![0-9][-./].)(?<![-./][-./].)"  # the character before has no digit, letter, or other number in front
_SHUT = r"(?![0-9A-Za-z_])(?![-./][0-9])"
_NUMBER = Gate(  # nine digits and more in groups of at most 20, one of them of three digits
    re.compile(
        r"[0-9](?<![0-9].)(?=[0-9 ().~/+·-]{0,24}?[0-9]{3})(?=(?:[ ().~/+·-]{0,5}[0-9]){8})"
        r"[0-9]{0,19}+(?![0-9])(?:[ ().~/+·-]{1,5}+[0-9]{1,20}+(?![0-9])){0,40}+"
    ),
    before=6,
    after=2,
)


@cache
def _rules() -> tuple[Rule, ...]:
    """Earlier rules win where findings overlap: what has a check digit stands before what has none."""
    return (*_number_rules(), *_machine_rules(), *name_rules(), *address_rules())


def _number_rules() -> Iterator[Rule]:
    mobile = rf"1[016789]\)?{_SEP}?[0-9]{{3,4}}{_SEP}?[0-9]{{4}}"
    landline = rf"(?:(?:2|3[1-3]|4[1-4]|5[1-5]|6[1-4]){_SEP}?[2-9][0-9]{{2,3}}|(?:70|50[0-9]){_SEP}?[0-9]{{3,4}}){_SEP}?[0-9]{{4}}"
    abroad = (
        r"(?:\+ ?82|0082|82(?=[- .]))\)?[- .]{0,2}(?:\(0\)[- .]?|0)?(?:1[016789]|2|[3-6][1-5]|70|50[0-9])"
        r"[- .)]{0,2}[0-9]{3,4}[- .]{0,2}[0-9]{4}"
    )
    yield from (
        Rule(re.compile(pattern), judge, _NUMBER)
        for pattern, judge in (
            (rf"[0-9]{_OPEN}[0-9]{{5}}(?P<sep>[ ]{{0,2}}[-./~·][ ]{{0,2}}|[ ]{{1,2}}|)[0-9]{{7}}{_SHUT}", _judge_resident),
            (rf"[0-9]{_OPEN}[0-9]{{3}}(?P<sep>[- .]?)[0-9]{{4}}(?P=sep)[0-9]{{4}}(?P=sep)[0-9]{{4}}{_SHUT}", _judge_card),
            (rf"3{_OPEN}[0-9]{{3}}(?P<sep>[- ]?)[0-9]{{6}}(?P=sep)[0-9]{{4,5}}{_SHUT}", _judge_card),
            (rf"[12]{_OPEN}[0-9](?:-[0-9]{{2}}-[0-9]{{6}}-[0-9]{{2}}|[0-9]{{10}}){_SHUT}", _judge_licence),
            (rf"[0-9]{_OPEN}[0-9]{{2}}[ ]?[-. ]?[ ]?[0-9]{{2}}[ ]?[-. ]?[ ]?[0-9]{{5}}{_SHUT}", _judge_business),
            (rf"[(0]{_OPEN}(?<!\+.)(?:(?<=\()0|(?<=0)){mobile}{_SHUT}", _judge_phone),
            (rf"[(0]{_OPEN}(?<!\+.)(?:(?<=\()0|(?<=0)){landline}{_SHUT}", _judge_phone),
            (rf"{abroad}{_SHUT}", _judge_korean_abroad),
            (
                rf"\+{_OPEN}(?!82)[1-9][0-9]{{0,2}}[-. (]{{1,2}}[0-9]{{1,4}}(?:[-. )]{{1,2}}[0-9]{{2,4}}){{2,4}}{_SHUT}",
                _judge_foreign_phone,
            ),
            (
                rf"[2-9(]{_OPEN}(?:(?<=\()[2-9][0-9]{{2}}\) ?|(?<!\()[0-9]{{2}}[-. ])[2-9][0-9]{{2}}[-. ][0-9]{{4}}{_SHUT}",
                _judge_foreign_phone,
            ),
            (
                rf"[0-9]{_OPEN}(?:[0-9]{{9,13}}|[0-9]{{1,5}}(?P<sep>[- ])[0-9]{{2,8}}(?:(?P=sep)[0-9]{{1,8}}){{0,3}}){_SHUT}",
                _judge_account,
            ),
        )
    )
    yield Rule(
        re.compile(r"공일공(?<![가-힣]...)[-. ]{0,2}[공영일이삼사오육륙칠팔구]{4}[-. ]{0,2}[공영일이삼사오육륙칠팔구]{4}"),
        always("phone"),
    )
    yield Rule(
        re.compile(rf"[0-9]{_OPEN}[0-9]{{2}}-[0-9]{{2}}-[0-9]{{4}}{_SHUT}"),
        always("resident"),
        Gate(re.compile("SSN|[Ss]ocial [Ss]ecurity"), after=40),
    )
    yield Rule(
        re.compile(r"[A-Z](?<![A-Za-z0-9].)(?:[0-9]{8}|[A-Z][0-9]{7}|[0-9]{3}[A-Z][0-9]{4})(?![A-Za-z0-9])"),
        always("passport"),
        Gate(re.compile("여권|[Pp]assport|PASSPORT"), after=40),
    )


def _machine_rules() -> Iterator[Rule]:
    at = r"(?:@|[ ]?(?:\([aA][tT]\)|\[[aA][tT]\]|\(골뱅이\)|골뱅이)[ ]?| @ ?)"
    dot = r"(?:\.|[ ]?(?:\([dD][oO][tT]\)|\[[dD][oO][tT]\]|\(점\))[ ]?)"
    yield Rule(
        re.compile(
            rf"[A-Za-z0-9](?<![A-Za-z0-9_.%+-].)[A-Za-z0-9._%+-]{{0,63}}{at}(?:[A-Za-z0-9-]{{1,63}}{dot}){{1,5}}[A-Za-z]{{2,12}}(?![A-Za-z0-9_@])"
        ),
        _judge_email,
        Gate(re.compile(r"@|골뱅이|\([aA][tT]\)|\[[aA][tT]\]"), before=70, after=140),
    )
    yield Rule(
        re.compile(r"[0-9](?<![0-9A-Za-z_.-].)[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?![0-9A-Za-z_]|\.[0-9])"),
        _judge_ip,
        Gate(re.compile(r"\.[0-9]{1,3}\.[0-9]"), before=8, after=8),
    )
    yield Rule(
        re.compile(
            r"[0-9A-Fa-f](?<![0-9A-Za-z:.].)[0-9A-Fa-f]{0,3}:(?:[0-9A-Fa-f]{1,4}:){2,6}"
            r"(?::|[0-9A-Fa-f]{1,4}|(?::[0-9A-Fa-f]{1,4}){1,4})(?![0-9A-Za-z:.])"
        ),
        _judge_ip,
        Gate(re.compile(r":[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{0,4}:"), before=6, after=40),
    )

"""Instructions hidden in documents: text that is written to the model, not to the reader.

Covered, in Korean and English: orders to forget earlier instructions, to become somebody else, to tell the system prompt, or to
hide something from the user; text addressed to a model; chat markers of model templates; invisible text (tag characters, runs of
zero-width characters, hidden HTML and comments that give orders); orders in base64; pictures whose address carries data away.

Not covered: orders in other languages, split over documents, paraphrased beyond these patterns, or written into pictures. What is
found is a reason to look; that nothing is found proves nothing, which is why an agent asks before it acts on what it has read.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from functools import cache

from sadari.text.findings import Certainty, Finding, Gate, Rule, always, search

_Verdict = tuple[str, Certainty] | None

LONGEST_BLOB = 4096
"""Characters of a base64 blob that are decoded."""

_TAG = "\U000e0020-\U000e007f"
_FLAG = "\U0001f3f4"  # the flags of England, Scotland and Wales are spelt in tag characters
_UNSEEN = re.compile(f"{_FLAG}[{_TAG}]{{1,7}}|[{_TAG}]{{2,}}|[\u200b-\u200d\u2060-\u2064\ufeff]{{4,}}|[\u202a-\u202e\u2066-\u2069]")


def find_injections(text: str) -> list[Finding]:
    """What in a document speaks to the model, in the order of the text. Time is linear in its length.

    Kinds: "override", "persona", "leak", "conceal", "addressed", "marker", "hidden", "encoded", "exfiltration".
    """
    found = search(text, _rules())
    unseen = (match for match in _UNSEEN.finditer(text) if not match[0].startswith(_FLAG))
    hidden = [Finding("hidden", *match.span(), match[0], "sure" if len(match[0]) > 1 else "probable") for match in unseen]
    return sorted([*found, *hidden], key=lambda finding: finding.start)


def _judge_marked_up(match: re.Match[str]) -> _Verdict:
    """Hidden markup: sure if it gives orders, probable if it hides a sentence; a comment that gives none is a comment."""
    if _gives_orders(match["inside"]):
        return "hidden", "sure"
    is_comment = match[0].startswith("<!--")
    return None if is_comment or len(re.findall(r"\w", match["inside"])) < 20 else ("hidden", "probable")


def _judge_blob(match: re.Match[str]) -> _Verdict:
    blob = match[0][:LONGEST_BLOB].translate({ord("-"): "+", ord("_"): "/"}).rstrip("=")
    try:
        said = base64.b64decode(blob[: len(blob) // 4 * 4], validate=True).decode("utf-8", "ignore")
    except (ValueError, binascii.Error):
        return None
    return ("encoded", "sure") if _gives_orders(said) else None


def _gives_orders(text: str) -> bool:
    return any(finding.kind not in ("marker", "hidden", "encoded", "exfiltration") for finding in search(text, _order_rules()))


# --- orders -----------------------------------------------------------------------------------------------------------------

_MODEL = r"(?:ai|llm|language[ ]model|chat[ ]?bot|assistant|gpt|chatgpt|claude|gemini|copilot)"
_MODEL_KO = r"(?:AI|LLM|GPT|인공지능|언어[ ]?모델|챗봇|어시스턴트)(?:[ ](?:모델|비서|어시스턴트|에이전트))?"
_FEW = r"(?:[a-z']{1,12}[ \n]{1,2}){0,4}?"  # words in between
_FEW_KO = r"(?:[가-힣]{1,8}[ \n]{1,2}){0,3}?"
_FORGET = (
    r"(?:ignore|disregard|forget|override|overrule|bypass|neglect|discard|do[ ]not[ ](?:follow|obey)|don'?t[ ](?:follow|obey)|"
    r"stop[ ]following)"
)
_FORGET_KO = r"(?:무시|잊어|잊고|잊으|따르지[ ]?(?:말|마|않고)|버려|버리|폐기|취소하|덮어|삭제하고)"
_EARLIER = r"(?:previous|prior|above|earlier|preceding|former|original|initial|existing|system|safety|foregoing|past|current)"
_EARLIER_KO = r"(?:이전|기존|위|앞|앞선|지금까지|이제까지|원래|처음|초기|모든|시스템|상위|사전|현재)"
_SAID = (
    r"(?:instructions?|prompts?|directions?|directives?|commands?|messages?|guidelines?|guidance|rules?|training|context|"
    r"conversation)"
)
_SAID_KO = r"(?:지시|명령|지침|프롬프트|규칙|인스트럭션|가이드라인|설정값|대화)(?:[ ]?(?:사항|내용|문|들)){0,2}"

_ORDERS: tuple[tuple[str, str, str], ...] = (
    # A kind, words without which it cannot be, and the pattern; spaces in it are written [ ].
    (
        "override",
        "previous|prior|above|earlier|preceding|original|initial|instructions?|prompts?|guidelines?|rules?|system|safety",
        rf"{_FORGET}[ \n]{{1,2}}{_FEW}{_EARLIER}[ \n]{{1,2}}{_FEW}{_SAID}",
    ),
    (
        "override",
        "instructions|prompt|told|before|above",
        rf"""{_FORGET}[ \n]{{1,2}}(?:
            (?:all|any|every|your|everything)[ \n]{{1,2}}{_FEW}
            (?:instructions|prompts?|directives|guidelines|were[ ]told|been[ ]told)
            | everything[ \n]{{1,2}}{_FEW}(?:above|before)
            | (?:the[ ]|all[ ])?(?:instructions|prompts?)[ ](?:above|before|so[ ]far|you[ ](?:were|have))
        )""",
    ),
    (
        "override",
        "instructions|prompt",
        r"(?:new|updated|real|actual)[ ](?:system[ ])?(?:instructions|prompt)[ ]?(?::|are\b|follow\b)",
    ),
    (
        "override",
        "지시|명령|지침|프롬프트|규칙|인스트럭션|가이드라인|설정값|대화",
        rf"""{_EARLIER_KO}(?:의|에|에서|에[ ]?(?:받은|있는|나온|적힌|내린|주어진))?[ \n]{{0,2}}{_FEW_KO}
            {_SAID_KO}(?:을|를|은|는|도)?[ \n]{{0,2}}{_FEW_KO}{_FORGET_KO}""",
    ),
    (
        "persona",
        "역할|임무|정체성",
        rf"(?:당신|너|네|자신)의?[ ](?:{_EARLIER_KO}[ ])?(?:역할|임무|정체성)(?:을|를|은|는)[ ]{_FEW_KO}(?:무시|잊어|잊고|잊으|"
        rf"버려|버리)",
    ),
    (
        "persona",
        "now|pretend|act as|roleplay|behave",
        rf"""(?:
            (?:you[ ]are[ ]now|you'?re[ ]now|from[ ]now[ ]on,?[ ]you[ ]are)[ ]
            (?:(?:an?|the|in|my|two)[ ])?(?:[a-z-]{{1,14}}[ ]){{0,2}}?{_MODEL}\b(?![ ](?:manager|professor))
            | (?:you[ ]are[ ]now|you'?re[ ]now|from[ ]now[ ]on,?[ ](?:you[ ]are|act)|act[ ]as|pretend[ ](?:to[ ]be|you[ ]are)|
            behave[ ]as|roleplay[ ]as)[ ](?:if[ ]you[ ](?:are|were)[ ])?(?:(?:an?|the|in|my)[ ])?(?:[a-z-]{{1,14}}[ ])?
            (?:dan\b|developer[ ]mode|god[ ]mode|jailbroken|unrestricted|unfiltered|evil|hacker|root\b|admin[ ]mode)
        )""",
    ),
    (
        "persona",
        "이제|지금부터|앞으로|오늘부터",
        r"""(?:
            (?:너는|넌|당신은|귀하는|네가)[ ]{1,2}(?:이제부터|이제|지금부터|앞으로|오늘부터)
            | (?:이제부터|지금부터|앞으로)[ ]{1,2}(?:너는|넌|당신은)
        )[ ,]{1,2}[^\n.!?]{0,40}?(?:
            제한[ ]?없|제약[ ]?없|관리자|개발자|해커|DAN|AI|인공지능|챗봇|봇이|봇입|모델|비서|조수|도우미|
            역할|행동|말하|말해|대답|답해|답하|따라
        )""",
    ),
    (
        "leak",
        "prompt|instructions",
        r"""(?:reveal|show|print|repeat|output|display|leak|tell[ ]me|send|expose|write[ ]out|give[ ]me|dump)[ \n]{1,2}
            (?:[a-z']{1,12}[ \n]{1,2}){0,5}?
            (?:system[ -]?prompt|hidden[ ]prompt|initial[ ]prompt|(?:system|initial|hidden|original|secret|your)[ ]instructions)""",
    ),
    (
        "leak",
        "프롬프트|지침|지시",
        rf"""(?:(?:시스템|초기|숨겨진|숨은|비밀|내부|네|너의|당신의)[ ]?(?:프롬프트|지침|지시(?:문|사항)?)
            |(?:위|이전|앞)의?[ ]?프롬프트)
            (?:을|를|의)?[ \n]{{0,2}}{_FEW_KO}(?:출력|공개|알려|보여|말해|적어|써[ ]?(?:줘|주|라)|노출|유출|전송|보내|반복|복사)""",
    ),
    (
        "conceal",
        "user|human",
        r"""(?:do[ ]not|don'?t|never|without)[ ]
            (?:tell(?:ing)?|inform(?:ing)?|mention(?:ing)?(?:[ ]this|[ ]it)?[ ]to|alert(?:ing)?|notify(?:ing)?|
            reveal(?:ing)?[ ](?:this|it)[ ]to)
            [ ](?:this[ ]|it[ ])?(?:to[ ])?(?:the[ ]|any[ ])?(?:users?|humans?)\b""",
    ),
    (
        "conceal",
        "사용자|유저|이용자",
        r"""(?:사용자|유저|이용자)(?:에게|한테|께)(?:는|도)?[ ](?:[가-힣]{1,8}[ ]){0,3}?
            (?:알리지[ ]?(?:말|마)|말하지[ ]?(?:말|마)|숨기|숨겨|비밀로|언급하지[ ]?(?:말|마))""",
    ),
    (
        "addressed",
        "if you|attention|note|dear",
        rf"""(?:if[ ]you[ ](?:are|'re)[ ](?:an?[ ]|the[ ])?(?:[a-z-]{{1,12}}[ ])?{_MODEL}\b
            | (?:attention|note[ ](?:to|for)|dear)[ ,:]{{1,2}}(?:the[ ]|any[ ]|all[ ])?(?:[a-z-]{{1,12}}[ ])?
            (?:{_MODEL}s?|language[ ]models)[ ]?[:,!])""",
    ),
    (
        "addressed",
        "AI|LLM|GPT|인공지능|모델|챗봇|어시스턴트",
        rf"""{_MODEL_KO}(?:이라면|라면|인[ ]경우|에게[ ]?(?:지시|명령|:)
            |[은는][ ](?:반드시|무조건|다음|아래|이)[ ][^\n.!?]{{0,40}}?(?:하라(?![고는])|하시오|하십시오|할[ ]것|따르|따라))""",
    ),
)


@cache
def _order_rules() -> tuple[Rule, ...]:
    return tuple(
        Rule(
            re.compile(pattern, re.IGNORECASE | re.VERBOSE),
            always(kind),
            Gate(re.compile(needed, re.IGNORECASE), before=100, after=120),
        )
        for kind, needed, pattern in _ORDERS
    )


@cache
def _rules() -> tuple[Rule, ...]:
    """Earlier rules win where findings overlap: a hidden order is hidden first of all."""
    return (*_markup_rules(), *_order_rules(), *_marker_rules())


def _markup_rules() -> Iterator[Rule]:
    yield Rule(re.compile(r"<!--(?P<inside>(?:(?!-->|<!--)[\s\S]){0,4000}+)-->"), _judge_marked_up)
    yield Rule(
        re.compile(
            r"<[a-zA-Z](?P<tag>[a-zA-Z0-9]{0,10})\s[^<>]{0,300}?(?:display\s*:\s*none|visibility\s*:\s*hidden|"
            r"font-size\s*:\s*0(?![.0-9])|"
            r"opacity\s*:\s*0(?![.0-9])|color\s*:\s*(?:white|#fff(?:fff)?|transparent)\b|"
            r"\bhidden\b)[^<>]{0,300}>(?P<inside>[^<]{1,2000})"
        ),
        _judge_marked_up,
    )
    yield Rule(re.compile(r"^\[//\]: # [(\"'](?P<inside>[^\n]{1,500})", re.MULTILINE), _judge_marked_up)
    yield Rule(re.compile(r"[A-Za-z0-9+/_-](?<![A-Za-z0-9+/_-].)[A-Za-z0-9+/_-]{31,}={0,2}"), _judge_blob)
    carried = (
        r"(?:\{[^}\s]{1,60}\}|\[[^\]\s]{1,60}\]|<[^>\s]{1,60}>|%7B|\$\w|(?:data|conversation|history|secret|prompt|"
        r"context|summary|chat|대화|내용)\b)"
    )
    yield Rule(
        re.compile(
            rf"!\[[^\]\n]{{0,200}}\]\((?:https?:)?//[^)\s?]{{1,300}}\?[^)\s=]{{1,60}}=(?:[^)\s&]{{0,200}}&[^)\s=]{{1,60}}=)?{carried}[^)]{{0,300}}\)",
            re.IGNORECASE,
        ),
        always("exfiltration"),
    )


def _marker_rules() -> Iterator[Rule]:
    yield Rule(
        re.compile(
            r"<\|(?:im_start|im_end|im_sep|system|user|assistant|endoftext|eot_id|start_header_id|end_header_id|begin_of_text|"
            r"end_of_turn|"
            r"start_of_role|end_of_role|tool_call|channel|message)\|>|<(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>|"
            r"\[/?SYSTEM_PROMPT\]|<\uff5c(?:User|Assistant)\uff5c>"
        ),
        always("marker"),
    )
    yield Rule(
        re.compile(
            r"^[ ]{0,3}(?:#{2,6}[ ]?(?:System|Assistant|Human|User|Instruction|시스템|지시)[ ]?:|#{2,6}[ ]?System[ ]?(?:Prompt|"
            r"Message|Instructions?)?[ ]?$|"
            r"(?:system|시스템)[ ]?:[ ]?(?=you\b|ignore|disregard|your |당신|너는|이전|지금부터))",
            re.MULTILINE | re.IGNORECASE,
        ),
        always("marker", "probable"),
    )

"""Personal data, credentials, and documents that speak to the model, told as remarks. The pieces themselves are never printed."""

from collections import Counter
from collections.abc import Sequence

from sadari.check.remark import Level, Remark, Wording, remark
from sadari.task import Task
from sadari.task.privacy import value_of
from sadari.task.survey import Found, survey

KINDS_KO = {
    "resident": "주민등록번호",
    "business": "사업자등록번호",
    "corporate": "법인등록번호",
    "card": "카드 번호",
    "licence": "운전면허 번호",
    "passport": "여권 번호",
    "email": "전자우편",
    "phone": "전화번호",
    "account": "계좌 번호",
    "ip": "IP 주소",
    "address": "주소",
    "name": "이름",
}


def remark_privacy(task: Task) -> list[Remark]:
    """One remark each for personal data in rows, personal data in documents, credentials, and injected instructions."""
    found = survey(task)
    in_documents = [f for f in found.personal if f.split == "documents"]
    published = {(f.finding.kind, value_of(f.finding)) for f in in_documents}  # such as the company's own address for questions
    in_rows = [f for f in found.personal if (f.finding.kind, value_of(f.finding)) not in published]
    kinds: tuple[tuple[str, Level, Wording, Sequence[Found]], ...] = (
        ("secrets", "warning", _CREDENTIALS, found.credentials),
        ("privacy", "warning", _ROWS, in_rows),
        ("injection", "warning", _INJECTIONS, found.injections),
        ("privacy", "info", _DOCUMENTS, in_documents),
    )
    return [
        remark(about, level, wording, task.language, [_line(f, task) for f in some], count=len(some), kinds=_kinds(some, task))
        for about, level, wording, some in kinds
        if some
    ]


def _kind(found: Found, task: Task) -> str:
    kind = found.finding.kind
    return KINDS_KO.get(kind, kind) if task.language == "ko" else kind.replace("_", " ")


def _line(found: Found, task: Task) -> str:
    return f"{found.where}, {found.place}: {_kind(found, task)} {found.finding.shown}"


def _kinds(found: Sequence[Found], task: Task) -> str:
    counts = Counter(_kind(f, task) for f in found)
    return ", ".join(f"{kind} {count}" for kind, count in counts.most_common())


_CREDENTIALS = {
    "en": (
        "Credentials in rows or documents: {kinds}. A tuned model can say them again, and documents are shown to whoever asks.",
        "Withdraw them where they are used, then take them out: `sadari data clean` writes the rows without them.",
    ),
    "ko": (
        "행이나 문서에 비밀 키나 암호가 있습니다: {kinds}. 튜닝한 모델이 그대로 말할 수 있고, 문서는 묻는 사람에게 보입니다.",
        "쓰던 곳에서 먼저 폐기한 뒤 지우세요. `sadari data clean`이 그것을 뺀 행을 씁니다.",
    ),
}
_ROWS = {
    "en": (
        "Personal data in rows: {kinds}. Tuning can learn it by heart, and few-shot examples show it to others.",
        "Mask it: `sadari data clean` writes the rows masked consistently.",
    ),
    "ko": (
        "행에 개인정보가 있습니다: {kinds}. 튜닝하면 외울 수 있고, 예시로 쓰이면 다른 사람에게 보입니다.",
        "가리세요. `sadari data clean`이 일관되게 가린 행을 씁니다.",
    ),
}
_DOCUMENTS = {
    "en": ("Personal data or contact details in documents: {kinds}.", "Look whether whoever asks may see them."),
    "ko": ("문서에 개인정보나 연락처가 있습니다: {kinds}.", "고객에게 보여도 되는지 살펴보세요."),
}
_INJECTIONS = {
    "en": (
        "Text from outside that speaks to the model ({kinds}): a system that reads it may obey it.",
        "Look at these places, and take out what nobody of yours wrote.",
    ),
    "ko": (
        "바깥에서 온 글에 모델에게 내리는 지시가 있습니다({kinds}). 그것을 읽은 시스템이 따를 수 있습니다.",
        "해당 부분을 살펴보고 직접 쓰지 않은 내용은 지우세요.",
    ),
}

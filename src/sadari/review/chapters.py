"""The review as sections of the report, in Korean or English."""

from collections.abc import Callable, Sequence
from math import ceil

from sadari.measure.after.forgetting import worst
from sadari.measure.after.slices import slices_caution
from sadari.measure.judging.calibration import Corrected, calibration_summary
from sadari.measure.money.bill import unpriced_words
from sadari.measure.money.payoff import Payoff, ReferenceShare
from sadari.measure.report import Level, Section, Table, fitting, grounding_section
from sadari.measure.verdict import format_p, reason_of
from sadari.measure.words import Words
from sadari.review.data import Review, Tuning
from sadari.types import Alarm

MOST_LABELS = 20
"""Labels shown, those with the lowest F1 first."""

MOST_CONFUSIONS = 10

_LOUDNESS: dict[str, Level] = {"none": "", "notice": "notice", "serious": "warning"}


def chapters(review: Review, words: Words) -> tuple[Section, ...]:
    """The sections that the review has something to say for, in the order in which they matter to a manager."""
    makers: Sequence[Callable[[Review, Words], Section | None]] = (
        _leaks,
        _money,
        _references,
        _audit,
        _reuse,
        _failures,
        _slices,
        _labels,
        _answers,
        _grounding,
        _tuning,
        _judged,
    )
    return tuple(fitting([make(review, words) for make in makers]))


def _say(words: Words, korean: str, english: str) -> str:
    return korean if words.language == "ko" else english


def _share(words: Words, value: float | None) -> str:
    return "–" if value is None else words.share(value)


# --- money -------------------------------------------------------------------------------------------------------------------


def _money(review: Review, words: Words) -> Section | None:
    if not review.payoffs:
        return None
    first = review.payoffs[0]
    t = words.text
    columns = (
        _say(words, "월 요청 수", "Requests a month"),
        _say(words, "월 순이익", "Net a month"),
        _say(words, "10% / 50% / 90%", "10 % / 50 % / 90 %"),
        _say(words, f"{first.months:g}개월 안에 이득일 확률", f"P(pays within {first.months:g} months)"),
        _say(words, "회수 (개월)", "Pays back (months)"),
        _say(words, "손익분기 요청 수", "Break-even requests"),
    )
    rows = tuple(_payoff_row(payoff, words) for payoff in review.payoffs)
    text = [
        _say(
            words,
            f"{first.against} 대신 {first.name} 단계를 쓸 때의 손익입니다. 한 번 드는 비용은 {words.money(first.paid_once)}입니다. "
            "순이익의 범위는 품질·토큰·시간을 함께 재표집한 것입니다.",
            f"What {first.name} earns in place of {first.against}. Paid once: {words.money(first.paid_once)}. The range of the "
            "net comes from resampling quality, tokens and seconds together.",
        )
    ]
    if first.extra_per_request is not None and first.extra_per_month is not None:
        each, month = words.money(first.extra_per_request), words.money(first.extra_per_month)
        text.append(
            _say(
                words,
                f"{first.against}보다 요청마다 {each}, 매달(임대·재학습) {month} 더 듭니다. 음수는 덜 드는 것입니다.",
                f"Against {first.against} it costs {each} more a request and {month} more a month (rent, retraining); "
                "negative is less.",
            )
        )
    if review.advice is not None:
        text.append(review.advice.words(words.language))
    points = [f"{_say(words, '쓴 가격', 'Priced by')}: {', '.join(first.priced_by)}"] if first.priced_by else []
    points += [f"{t['not_priced']}: {part}" for part in unpriced_words(first.unpriced, words.language, words.currency)]
    tables = (Table(columns, rows),) if any(payoff.net_per_month is not None for payoff in review.payoffs) else ()
    return Section("money", _say(words, "돈이 되는가", "Does it pay?"), tuple(text), tuple(points), tables)


def _payoff_row(payoff: Payoff, words: Words) -> tuple[str, ...]:
    never = _say(words, "회수 못 함", "never")
    tenths = [words.money(value) for value in payoff.net_tenths if value is not None]
    months = "–" if payoff.payback_months is None else _rounded(payoff.payback_months)
    requests = "–" if payoff.break_even_requests is None else f"{ceil(payoff.break_even_requests):,}"
    return (
        "–" if payoff.requests_per_month is None else f"{payoff.requests_per_month:,.0f}",
        words.money(payoff.net_per_month),
        " / ".join(tenths) or "–",
        _share(words, payoff.pays_probability),
        never if payoff.never_pays else months,
        never if payoff.never_pays else requests,
    )


def _rounded(months: float) -> str:
    return "< 0.1" if months < 0.1 else f"{months:,.1f}"


def _references(review: Review, words: Words) -> Section | None:
    if not review.references and not review.left_out:
        return None
    rows = [
        (
            card.rung,
            words.share(card.quality),
            words.between(words.share(card.low), words.share(card.high)),
            str(card.failures),
            _share(words, share.quality_share if share else None),
            "–" if share is None else f"{share.requests_per_month:,.0f}",
            _share(words, share.cost_share if share else None),
        )
        for card in review.references
        for share in _shares_of(card.rung, review)
    ]
    columns = (
        _say(words, "참고 모델", "Reference"),
        words.text["quality"],
        words.text["interval"],
        words.text["failures"],
        _say(words, "최종 단계의 품질 비율", "Winner's share of its quality"),
        _say(words, "월 요청 수", "Requests a month"),
        _say(words, "그때 최종 단계의 비용 비율", "Winner's share of its cost"),
    )
    text = _say(
        words,
        "대신 돈을 내고 쓸 수 있는 모델을 같은 테스트로 잰 것입니다. "
        "학습 없이 가장 좋았던 프롬프트와 검색으로 물었고, 채택 대상이 아닙니다.",
        "Models one could pay for instead, on the same test set, asked with the best untrained prompt and retrieval; never taken.",
    )
    points = tuple(
        _say(words, f"{name}: 물을 수 없어 빠졌습니다. {why}", f"{name}: could not be asked and is left out. {why}")
        for name, why in review.left_out.items()
    )
    title = _say(words, "참고 모델과 견주면", "Beside the references")
    return Section("references", title, (text,), points, (Table(columns, tuple(rows)),) if rows else (), "notice" if points else "")


def _shares_of(reference: str, review: Review) -> Sequence[ReferenceShare | None]:
    return [share for share in review.shares if share.reference == reference] or [None]


# --- can it be believed --------------------------------------------------------------------------------------------------------


def _audit(review: Review, words: Words) -> Section | None:
    if review.audit is None:
        return None
    audit = review.audit
    card = audit.winner
    unseen = _say(words, "아무도 보지 않은", "that nobody had looked at")
    seen = _say(words, f"먼저 {audit.earlier}번의 등반이 이미 열어 본", f"that {audit.earlier} earlier climbs had opened already")
    fresh = seen if audit.earlier else unseen
    text = _say(
        words,
        f"{fresh} {len(card.ids):,}문항으로 마지막에 한 번 쟀습니다: "
        f"{card.rung.split(' ')[0]} {words.share(card.quality)} "
        f"({words.between(words.share(card.low), words.share(card.high))}), 기준선 {words.share(audit.baseline.quality)}. "
        f"{reason_of(audit.verdict, card, 'ko').rpartition(': ')[0]}.",
        f"One look at the end, at {len(card.ids):,} examples {fresh}: {card.rung.split(' ')[0]} "
        f"{words.share(card.quality)} ({words.between(words.share(card.low), words.share(card.high))}), baseline "
        f"{words.share(audit.baseline.quality)}. {reason_of(audit.verdict, card, 'en').rpartition(': ')[0]}.",
    )
    holds = audit.verdict.gain > 0 and (audit.verdict.p_value or 0.0) < 0.05
    lost = _say(words, "테스트에서 본 향상이 여기서는 입증되지 않습니다.", "The gain seen on test is not proven here.")
    title = _say(words, "감사 세트: 마지막 한 번의 확인", "The audit set: one last look")
    level: Level = "warning" if not holds else "notice" if audit.earlier else ""
    return Section("audit", title, (text,) if holds else (text, lost), level=level)


def _reuse(review: Review, words: Words) -> Section | None:
    reuse = review.reuse
    if reuse is None or not (reuse.climbs or reuse.evals):
        return None
    text = _say(
        words,
        f"이 테스트 세트로 먼저 {reuse.climbs}번 등반하고 {reuse.evals}번 따로 평가했으며, "
        f"지금까지 {reuse.looks}개 시스템을 쟀습니다. 거듭 보면 운으로 좋아 보이는 것이 나옵니다. "
        f"사다리 방식(Ladder mechanism)으로 믿을 수 있는 최고 품질은 {words.share(reuse.told)}이고, "
        "모든 등반을 합친 오류를 작게 두려면 "
        f"p가 {format_p(reuse.level)}보다 작아야 합니다. 새 테스트 문항을 더하면 처음부터 다시 셉니다.",
        f"{reuse.climbs} earlier climbs and {reuse.evals} evaluations used this test set, and {reuse.looks} systems were "
        "measured on it so far. Who looks often finds something good by luck. By the Ladder mechanism "
        f"the best quality that can be believed is {words.share(reuse.told)}; "
        f"for a small error over all climbs p would have to stay below {format_p(reuse.level)}. "
        "New test examples start the count anew.",
    )
    return Section("reuse", _say(words, "테스트 세트를 다시 씀", "The test set was used before"), (text,), level="notice")


def _judged(review: Review, words: Words) -> Section | None:
    judged = review.judged
    if judged is None:
        return None
    known = (
        calibration_summary(judged.calibration, words.language)
        if judged.calibration is not None
        else _say(
            words,
            "심사 모델을 사람의 판정으로 보정하지 않았습니다. 50개 이상을 score.judge.labels에 주면 보정합니다.",
            "The judge was not calibrated against people. Give 50 or more judged answers in score.judge.labels.",
        )
    )
    columns = (
        words.text["rung"],
        _say(words, "판단 못 함", "Unsure"),
        _say(words, "심사 실패", "Failed"),
        _say(words, "보정한 품질", "Corrected quality"),
        words.text["interval"],
    )
    rows = tuple(
        (rung, str(count), str(judged.failed.get(rung, 0)), *_corrected(judged.corrected.get(rung), words))
        for rung, count in judged.unsure.items()
    )
    text = [known]
    if judged.gain is not None:
        value, interval = _corrected(judged.gain, words)
        text.append(
            _say(
                words,
                f"심사 모델의 오류를 뺀 향상(기준선 대비): {value} (95% 구간 {interval}).",
                f"Gain over the baseline with the judge's errors taken out: {value} (95% interval {interval}).",
            )
        )
    level: Level = "" if judged.calibration is not None else "warning"
    return Section("judge", _say(words, "심사 모델", "The judge"), tuple(text), (), (Table(columns, rows),), level)


def _corrected(found: Corrected | None, words: Words) -> tuple[str, str]:
    if found is None:
        return "–", "–"
    return words.share(found.value), words.between(words.share(found.low), words.share(found.high))


# --- what still fails ----------------------------------------------------------------------------------------------------------


def _failures(review: Review, words: Words) -> Section | None:
    if not review.failures:
        return None
    questions = dict(review.quotes)
    columns = (
        _say(words, "유형", "Type"),
        _say(words, "수", "Count"),
        _say(words, "비율", "Share"),
        _say(words, "고친 단계", "Fixed by"),
        _say(words, "망친 단계", "Broken by"),
        _say(words, "예", "For example"),
    )
    rows = tuple(
        (
            group.name,
            str(group.count),
            words.share(group.share),
            ", ".join(f"{rung} {n}" for rung, n in group.fixed_by.items()) or "–",
            ", ".join(f"{rung} {n}" for rung, n in group.broken_by.items()) or "–",
            " / ".join(f"{_short(questions.get(name, ''))} ({name})" for name in group.examples[:2]),
        )
        for group in review.failures
    )
    text = _say(
        words,
        "틀린 답을 이유와 내용이 비슷한 것끼리 묶었습니다. 한 문항은 한 유형에만 듭니다. "
        "고치거나 망친 수는 유형 안의 문항에서 단계마다 센 것입니다.",
        "Wrong answers, grouped by why and about what; each stands in one group. Fixed and broken are counted rung by rung "
        "among the group's examples.",
    )
    return Section("failures", _say(words, "무엇을 틀리는가", "What goes wrong"), (text,), (), (Table(columns, rows),))


def _short(text: str, most: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _slices(review: Review, words: Words) -> Section | None:
    if not review.slices:
        return None
    columns = (
        _say(words, "부분", "Slice"),
        _say(words, "문항", "Examples"),
        _say(words, "기준선", "Baseline"),
        _say(words, "최종", "Winner"),
        words.text["interval"],
        words.text["gain"],
        "p (Holm)",
    )
    rows = tuple(
        (
            f"{_say(words, '언어', 'language') if s.by == 'language' else _say(words, '태그', 'tag')} {s.name}",
            str(s.count),
            words.share(s.baseline),
            words.share(s.winner),
            words.between(words.share(s.winner_low), words.share(s.winner_high)),
            words.points(s.gain),
            "–" if s.p_value is None else format_p(s.p_value),
        )
        for s in review.slices
        if not s.is_too_few
    )
    caution = slices_caution(review.slices, language=words.language)
    return Section("slices", _say(words, "부분별 품질", "Quality by slice"), (caution,), (), (Table(columns, rows),))


def _labels(review: Review, words: Words) -> Section | None:
    report = review.labels
    if report is None:
        return None
    worst = sorted((q for q in report.per_label if q.support), key=lambda q: q.f1)[:MOST_LABELS]
    per_label = Table(
        (
            _say(words, "라벨", "Label"),
            _say(words, "문항", "Examples"),
            _say(words, "정밀도", "Precision"),
            _say(words, "재현율", "Recall"),
            "F1",
        ),
        tuple((q.label, str(q.support), words.share(q.precision), words.share(q.recall), words.share(q.f1)) for q in worst),
    )
    wrong = [
        (
            count,
            report.labels[right],
            report.labels[said] if said < len(report.labels) else _say(words, "(라벨 아님)", "(no label)"),
        )
        for right, row in enumerate(report.confusion)
        for said, count in enumerate(row)
        if count and right != said
    ]
    confused = Table(
        (_say(words, "바른 라벨", "Right label"), _say(words, "대답한 라벨", "Said"), _say(words, "수", "Count")),
        tuple((right, said, str(count)) for count, right, said in sorted(wrong, reverse=True)[:MOST_CONFUSIONS]),
    )
    text = _say(
        words,
        f"정확도 {words.share(report.accuracy)}, 매크로 F1 {words.share(report.macro_f1)}, 라벨이 아닌 답 {report.no_label}개. "
        f"F1이 낮은 라벨 {len(worst)}개와 가장 잦은 혼동을 보입니다.",
        f"Accuracy {words.share(report.accuracy)}, macro F1 {words.share(report.macro_f1)}, {report.no_label} answers that are no "
        f"label. Shown are the {len(worst)} labels with the lowest F1 and the commonest confusions.",
    )
    return Section("labels", _say(words, "라벨", "Labels"), (text,), (), (per_label, confused) if wrong else (per_label,))


def _answers(review: Review, words: Words) -> Section | None:
    points = []
    if (a := review.abstention) is not None:
        points.append(
            _say(
                words,
                f"확인할 수 없다는 답: 맞음 {a.right}, 잘못 물러섬 {a.false}, 물러서야 했는데 답함 {a.missed} "
                f"(정밀도 {_share(words, a.precision)}, 재현율 {_share(words, a.recall)})",
                f'"Not in the documents": {a.right} rightly, {a.false} wrongly, {a.missed} answered instead '
                f"(precision {_share(words, a.precision)}, recall {_share(words, a.recall)})",
            )
        )
    if (c := review.citations) is not None:
        points += [
            _say(
                words,
                f"인용을 단 답 {_share(words, c.citing)}, 그 자리에 실제로 있는 인용 {_share(words, c.existing)}",
                f"{_share(words, c.citing)} of the answers cite something; "
                f"{_share(words, c.existing)} of the citations stand where they say",
            ),
            _say(
                words,
                f"인용문에 있는 내용어 {_share(words, c.words_cited)} ({c.words_are}), 숫자 {_share(words, c.numbers_cited)}",
                f"content words found in the citations {_share(words, c.words_cited)} ({c.words_are}), "
                f"numbers {_share(words, c.numbers_cited)}",
            ),
        ]
        if c.gold_recall is not None:
            points.append(
                _say(
                    words,
                    f"바른 근거와 견준 인용: 정밀도 {_share(words, c.gold_precision)}, 재현율 {_share(words, c.gold_recall)}",
                    f"citations against the gold spans: precision {_share(words, c.gold_precision)}, "
                    f"recall {_share(words, c.gold_recall)}",
                )
            )
    points += [f"{score.name}: {score.value:.3f} ({score.signature})" for score in review.corpus]
    if not points:
        return None
    return Section("answers", _say(words, "답의 성격", "About the answers"), (), tuple(points))


def _grounding(review: Review, words: Words) -> Section | None:
    return grounding_section(review.grounding, words)


# --- what tuning did beside its task -------------------------------------------------------------------------------------------


def _tuning(review: Review, words: Words) -> Section | None:
    if not review.tunings:
        return None
    points = []
    for tuning in review.tunings:
        points.append(f"{tuning.rung}: {tuning.overfitting.reason}")
        if tuning.forgetting is not None:
            points.append(f"{tuning.rung}: {tuning.forgetting.reason}")
        points += [
            f"{tuning.rung}: "
            + _say(
                words,
                f"심어 둔 비밀 {e.id}: {e.bits:.1f}비트, 추측 {e.guesses:,}번",
                f"canary {e.id}: {e.bits:.1f} bits, {e.guesses:,} guesses",
            )
            for e in tuning.exposures
        ]
    loudest = worst(level for t in review.tunings for level in _levels(t))
    table = _forgetting_table(review.tunings, words)
    text = _say(
        words,
        "과제 밖의 일반적인 한국어·영어 문장으로 조정 전과 후를 견주고, 학습 문항을 외웠는지 보았습니다.",
        "A fixed probe of general Korean and English before and after tuning, and whether training rows were learnt by heart.",
    )
    title = _say(words, "조정의 부작용", "What tuning did besides")
    return Section("tuning", title, (text,), tuple(points), (table,) if table.rows else (), _LOUDNESS[loudest])


def forgetting_column(review: Review, words: Words) -> dict[str, str]:
    """By tuned rung: how much the loss on general text rose, in Korean and English, and the level of warning."""
    told = {}
    for tuning in review.tunings:
        if tuning.forgetting is not None:
            losses = [c for c in tuning.forgetting.changes if c.measure == "loss" and c.before > 0]
            risen = ", ".join(f"{c.language} {c.change / c.before:+.1%}" for c in losses)
            told[tuning.rung] = f"{risen} ({_warning(tuning.forgetting.level, words)})"
    return told


def _warning(level: Alarm, words: Words) -> str:
    korean, english = {"none": ("경고 없음", "no warning"), "notice": ("주의", "notice"), "serious": ("심각", "serious")}[level]
    return _say(words, korean, english)


def _levels(tuning: Tuning) -> list[Alarm]:
    forgotten = [tuning.forgetting.level] if tuning.forgetting else []
    return [tuning.overfitting.level, *forgotten, *(e.level for e in tuning.exposures)]


def _forgetting_table(tunings: Sequence[Tuning], words: Words) -> Table:
    names = {
        ("ko", "loss"): _say(words, "한국어 손실 (nat/글자)", "Korean loss (nats/char)"),
        ("en", "loss"): _say(words, "영어 손실 (nat/글자)", "English loss (nats/char)"),
        ("ko", "accuracy"): _say(words, "한국어 빈칸 정답률", "Korean cloze accuracy"),
        ("en", "accuracy"): _say(words, "영어 빈칸 정답률", "English cloze accuracy"),
    }
    rows = tuple(
        (
            f"{tuning.rung}: {names[change.language, change.measure]}",
            f"{change.before:.3f}",
            f"{change.after:.3f}",
            f"{change.change:+.3f}",
            words.between(f"{change.low:+.3f}", f"{change.high:+.3f}"),
            _warning(change.level, words),
        )
        for tuning in tunings
        if tuning.forgetting is not None
        for change in tuning.forgetting.changes
    )
    columns = (
        _say(words, "잊은 것", "Forgetting"),
        _say(words, "전", "Before"),
        _say(words, "후", "After"),
        _say(words, "변화", "Change"),
        words.text["interval"],
        _say(words, "경고", "Warning"),
    )
    return Table(columns, rows)


def _leaks(review: Review, words: Words) -> Section | None:
    if not review.leaks:
        return None
    text = _say(
        words,
        f"최종 시스템의 답 {len(review.leaks)}곳에 학습 자료의 개인정보나 비밀이 나왔습니다. 이대로 쓰면 안 됩니다. "
        "sadari data clean --mask로 가린 뒤 다시 등반하세요.",
        f"{len(review.leaks)} answers of the winner hold personal data or secrets of the training rows. Do not serve it. "
        "Mask them with `sadari data clean --mask` and climb again.",
    )
    points = tuple(f"{leak.id}: {leak.kind}: {leak.excerpt}" for leak in review.leaks[:20])
    return Section("leaks", _say(words, "새어 나온 비밀", "Secrets that came out"), (text,), points, level="error")

"""The words and number formats of the report, in Korean and English."""

from typing import Any, Literal

_WORDS: dict[str, dict[str, Any]] = {
    "ko": {
        "lang": "ko",
        "title": "등반 보고서",
        "answer": "{rung} 단계가 가장 좋습니다: 테스트 {count}문항에서 품질 {quality} (95% 구간 {interval}), "
        "{baseline}보다 {gain} 높음 (95% 구간 {gain_interval}){cost}.",
        "answer_cost": ", 요청 1,000건에 {cost}",
        "answer_baseline": "어느 단계도 기준선을 넘는다고 입증되지 않아 {rung} 단계를 그대로 씁니다. "
        "테스트 {count}문항에서 품질 {quality} (95% 구간 {interval}){cost}.",
        "goal": "목표",
        "task": "과제",
        "scorer": "채점",
        "bundle": "결과물",
        "ended": "끝난 이유",
        "quality": "품질",
        "interval": "95% 구간",
        "gain": "향상",
        "gain_interval": "향상의 95% 구간",
        "gain_over": "{rung} 대비 향상",
        "request_cost": "요청 1,000건 비용",
        "latency": "응답 시간 (중앙값)",
        "built_in": "만드는 데 걸린 시간",
        "whole_run": "등반 전체 {time}",
        "monthly_gain": "직전 단계 대비 월 순이익",
        "payback": "{months}개월이면 회수",
        "not_priced": "가격 없음",
        "not_priced_note": "기계 시간이나 토큰의 가격이 과제 파일에 없어 비용을 매기지 않았습니다. "
        "money.machine_hour를 적으면 비용이 표시됩니다.",
        "no_charts": "{why} 패키지가 없어 그래프를 그리지 못했습니다. pip install 'sadari[report]'로 설치하면 그려집니다. "
        "같은 숫자가 아래 표에 있습니다.",
        "behind": "표로 보기",
        "rungs": "단계별 결과",
        "rung": "단계",
        "p": "p",
        "verdict": "판정",
        "taken": "채택",
        "build": "제작 시간",
        "cost": "1,000건 비용",
        "p50": "p50",
        "p95": "p95",
        "failures": "오류",
        "forgotten": "잊은 것",
        "reason": "판정 이유",
        "yes": "예",
        "no": "아니요",
        "chosen": "최종",
        "outcomes": {
            "better": "나아짐",
            "not_worse": "나쁘지 않음",
            "worse": "나빠짐",
            "cannot_tell": "판단 불가",
            "baseline": "기준선",
        },
        "rule": "향상은 그때까지 채택된 단계와 같은 문항끼리 짝지어 비교한 차이입니다. p가 기준보다 작고, 95% 구간의 하한이 "
        "비용을 감당하는 최소 향상보다 클 때만 채택합니다.",
        "quality_chart": "품질과 비용",
        "quality_chart_time": "품질과 응답 시간",
        "quality_alt": "단계별 품질(95% 구간)을 요청 1,000건의 비용에 대해 그린 그림. {points}",
        "quality_alt_time": "단계별 품질(95% 구간)을 응답 시간에 대해 그린 그림. {points}",
        "x_cost": "요청 1,000건 비용 ({currency})",
        "x_time": "응답 시간 중앙값 (초)",
        "y_quality": "품질 (%)",
        "costs_chart": "제작 시간과 요청 비용",
        "costs_alt": "단계별 제작 시간과 요청 1,000건의 비용 막대그림. {points}",
        "x_build": "제작 시간 (분)",
        "x_request": "요청 1,000건 비용 ({currency})",
        "losses_chart": "학습 곡선",
        "losses_alt": "학습 스텝에 따른 손실 곡선. {points}",
        "x_step": "스텝",
        "y_loss": "손실",
        "curve": "곡선",
        "first": "처음",
        "lowest": "최저",
        "last": "마지막",
        "points": "점",
        "failing": "아직 틀리는 답",
        "failing_count": "테스트 {total}문항 가운데 {wrong}문항이 만점이 아닙니다. 그중 {shown}문항을 보입니다.",
        "none_failing": "틀린 답이 없습니다.",
        "question": "질문",
        "expected": "바른 답",
        "said": "답",
        "nothing_said": "(빈 답)",
        "why": "이유",
        "notes": "기록",
        "config": "설정",
        "made_by": "sadari가 만든 보고서입니다. 숫자는 같은 폴더의 파일에 있는 것과 같습니다.",
    },
    "en": {
        "lang": "en",
        "title": "Report of the climb",
        "answer": "{rung} is best: quality {quality} on {count} test examples (95% interval {interval}), "
        "{gain} above {baseline} (95% interval {gain_interval}){cost}.",
        "answer_cost": ", at {cost} per 1,000 requests",
        "answer_baseline": "No rung is proven better than the baseline, so {rung} stays: quality {quality} on {count} test "
        "examples (95% interval {interval}){cost}.",
        "goal": "Goal",
        "task": "Task",
        "scorer": "Scored by",
        "bundle": "Bundle",
        "ended": "Why it ended",
        "quality": "Quality",
        "interval": "95% interval",
        "gain": "Gain",
        "gain_interval": "95% interval of the gain",
        "gain_over": "Gain over {rung}",
        "request_cost": "Cost of 1,000 requests",
        "latency": "Latency (median)",
        "built_in": "Time to build",
        "whole_run": "whole climb {time}",
        "monthly_gain": "Net a month, over the step before",
        "payback": "pays back in {months} months",
        "not_priced": "not priced",
        "not_priced_note": "The task file prices neither the machine's hour nor tokens, so no cost is shown. "
        "Set money.machine_hour to see it.",
        "no_charts": "No charts were drawn, for {why} is not installed: pip install 'sadari[report]'. "
        "The tables hold the same numbers.",
        "behind": "As a table",
        "rungs": "Rung by rung",
        "rung": "Rung",
        "p": "p",
        "verdict": "Verdict",
        "taken": "Taken",
        "build": "Build time",
        "cost": "Cost / 1,000",
        "p50": "p50",
        "p95": "p95",
        "failures": "Failures",
        "forgotten": "Forgetting",
        "reason": "Reason",
        "yes": "yes",
        "no": "no",
        "chosen": "winner",
        "outcomes": {
            "better": "better",
            "not_worse": "not worse",
            "worse": "worse",
            "cannot_tell": "cannot tell",
            "baseline": "baseline",
        },
        "rule": "A gain is the difference from the best system so far on the same examples, in pairs. A rung is taken only if p is "
        "below its level and the lower end of the 95% interval exceeds the smallest gain that pays.",
        "quality_chart": "Quality against cost",
        "quality_chart_time": "Quality against latency",
        "quality_alt": "Quality of each rung with its 95% interval, against the cost of 1,000 requests. {points}",
        "quality_alt_time": "Quality of each rung with its 95% interval, against median latency. {points}",
        "x_cost": "Cost of 1,000 requests ({currency})",
        "x_time": "Median latency (s)",
        "y_quality": "Quality (%)",
        "costs_chart": "Build time and request cost",
        "costs_alt": "Bars of each rung's build time and its cost of 1,000 requests. {points}",
        "x_build": "Build time (min)",
        "x_request": "Cost of 1,000 requests ({currency})",
        "losses_chart": "Learning curves",
        "losses_alt": "Loss against training step. {points}",
        "x_step": "Step",
        "y_loss": "Loss",
        "curve": "Curve",
        "first": "First",
        "lowest": "Lowest",
        "last": "Last",
        "points": "Points",
        "failing": "Answers that still fail",
        "failing_count": "{wrong} of {total} test examples do not score 1. {shown} of them are shown.",
        "none_failing": "No answer fails.",
        "question": "Question",
        "expected": "Expected",
        "said": "Answer",
        "nothing_said": "(empty)",
        "why": "Why",
        "notes": "Notes",
        "config": "Settings",
        "made_by": "Made by sadari. The numbers are those of the files in the same folder.",
    },
}


class Words:
    """Words of one language, and its ways of writing shares, points, money and time."""

    def __init__(self, language: Literal["ko", "en"], currency: str) -> None:
        self.language = language
        self.currency = currency
        self.text = _WORDS[language]

    def share(self, value: float) -> str:
        """0.871 -> 87.1%."""
        return f"{100 * value:.1f}%"

    def points(self, value: float, *, sign: bool = True) -> str:
        """0.421 -> +42.1%p or +42.1 points; without a sign, the bare number with a minus only."""
        if not sign:
            return f"{100 * value:.1f}"
        return f"{100 * value:+.1f}" + ("%p" if self.language == "ko" else " points")

    def between(self, low: str, high: str) -> str:
        return f"{low}~{high}" if self.language == "ko" else f"{low} to {high}"

    def money(self, value: float | None) -> str:
        """Three significant digits below 100, whole above; "not priced" for None."""
        if value is None:
            return str(self.text["not_priced"])
        number = f"{value:,.0f}" if abs(value) >= 100 or value == 0 else f"{value:,.3g}"
        return f"{number}원" if self.language == "ko" and self.currency == "KRW" else f"{number} {self.currency}"

    def seconds(self, value: float) -> str:
        """0.043 -> 43 ms, 8.4 -> 8.4 s, 492 -> 8 min 12 s."""
        korean = self.language == "ko"
        if value < 1:
            return f"{1000 * value:.0f} ms" if value else "0"
        if value < 60:
            return f"{value:.1f}초" if korean else f"{value:.1f} s"
        minutes, rest = divmod(round(value), 60)
        hours, minutes = divmod(minutes, 60)
        if hours:
            return f"{hours}시간 {minutes}분" if korean else f"{hours} h {minutes} min"
        return f"{minutes}분 {rest}초" if korean else f"{minutes} min {rest} s"

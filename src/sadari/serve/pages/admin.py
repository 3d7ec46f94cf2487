"""The page on which administrators keep keys and people, and see what the agent may do and what they did themselves."""

import json
from typing import Any, get_args

import yaml
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from sadari.serve.administration import agent_json
from sadari.serve.entry import ServiceOf
from sadari.serve.keys import ROLES, Permission
from sadari.serve.pages import look

router = APIRouter(include_in_schema=False)

FILTERS = ("claims", "abuse", "links", "personal", "secrets", "advice")
"""Those that `agent: filters:` knows."""


@router.get("/admin")
def show(request: Request, viewer: look.Administering, service: ServiceOf) -> HTMLResponse:
    """Everything that is an administrator's."""
    agent = agent_json(service.desk.loop.agent)
    rules = [_rule_text(rule) for rule in agent["policy"]["rules"]]
    others = [name for name in agent["filters"] if name not in FILTERS]
    told = json.dumps(dict(look.words("admin", viewer.language)), ensure_ascii=False)
    return look.page(
        request,
        viewer,
        "admin",
        told=told,
        agent=agent,
        rules=rules,
        filters=(*FILTERS, *others),
        roles=ROLES,
        permissions=get_args(Permission),
        models=service.model_names,
        asks_keys=service.asks_keys,
        retention=service.retention.state(),
    )


def _rule_text(rule: dict[str, Any]) -> dict[str, str]:
    """A rule of the policy: what it is about, under which conditions, and what it decides."""
    about = [*rule.get("tools", ()), *rule.get("effects", ())]
    conditions = {name: value for name, value in rule.items() if name not in ("tools", "effects", "decision", "reason")}
    reason = rule.get("reason", "")
    return {
        "about": ", ".join(about),
        "conditions": yaml.safe_dump(conditions, allow_unicode=True, sort_keys=False) if conditions else "",
        "decision": rule["decision"],
        "reason": reason if isinstance(reason, str) else " / ".join(reason.values()),
    }

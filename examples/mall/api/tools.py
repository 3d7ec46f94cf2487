"""What the order agent can do: calls of the order API, which runs in a thread of this process while it is used.

With an API that runs by itself, these lines are one entry of the task file:
`{openapi: {file: api/openapi.json, base_url: https://…, idempotent: […]}}`.
"""

import json
import threading
import time
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from sadari import tool
from sadari.agent.tools.functions import load_module
from sadari.errors import ToolFailedError
from sadari.types import Caller

SHOP = Path(__file__).resolve().parent / "shop.py"


@cache
def service() -> str:
    """Where the API listens: a free port of this machine, begun at the first call."""
    import uvicorn

    config = uvicorn.Config(load_module(SHOP, "shop.py").app, host="127.0.0.1", port=0, log_level="warning")
    server = uvicorn.Server(config)
    threading.Thread(target=server.run, name="shop", daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"


def ask(method: str, path: str, caller: Caller | None = None, **body: Any) -> Any:
    """What the API answers.

    Raises:
        ToolFailedError: If it refuses, in its words.
    """
    headers = {"Content-Type": "application/json", **({"Idempotency-Key": caller.key} if caller and caller.key else {})}
    data = json.dumps(body).encode() if body else None
    try:
        with urllib.request.urlopen(urllib.request.Request(service() + path, data, headers, method=method), timeout=20) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code >= 500:
            raise
        said = json.load(error)["detail"]
        raise ToolFailedError(said if isinstance(said, str) else "값이 맞지 않습니다.") from error


@tool
def get_order(order: str) -> Any:
    """주문 조회"""
    return ask("GET", f"/orders/{quote(order, safe='')}")


@tool
def list_orders(phone: str) -> Any:
    """전화번호로 주문 찾기"""
    return ask("GET", f"/orders?phone={quote(phone, safe='')}")


@tool
def track_order(order: str) -> Any:
    """택배 위치 조회"""
    return ask("GET", f"/orders/{quote(order, safe='')}/parcel")


@tool(effect="irreversible", idempotent=True)
def cancel_order(order: str, caller: Caller) -> Any:
    """주문 취소"""
    return ask("POST", f"/orders/{quote(order, safe='')}/cancel", caller)


@tool(effect="write", idempotent=True)
def change_address(address: str, order: str, caller: Caller) -> Any:
    """배송지 변경"""
    return ask("PUT", f"/orders/{quote(order, safe='')}/address", caller, address=address)


@tool(effect="irreversible", idempotent=True)
def refund_order(amount: int, order: str, caller: Caller) -> Any:
    """환불 신청"""
    return ask("POST", f"/orders/{quote(order, safe='')}/refund", caller, amount=amount)


@tool(effect="irreversible", idempotent=True)
def mail_receipt(email: str, order: str, caller: Caller) -> Any:
    """영수증 메일 발송"""
    return ask("POST", "/mails", caller, order=order, email=email)


@tool(effect="write", idempotent=True)
def open_ticket(order: str, problem: Literal["파손", "누락", "오배송", "불량"], caller: Caller) -> Any:
    """상품 문제 접수"""
    return ask("POST", "/tickets", caller, order=order, problem=problem)


@tool(effect="write", idempotent=True)
def book_call(day: int, hour: int, month: int, caller: Caller) -> Any:
    """전화 상담 예약"""
    return ask("POST", "/calls", caller, month=month, day=day, hour=hour)

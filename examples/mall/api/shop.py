"""The order API of the shop: FastAPI over a SQLite file that it makes from `orders.csv`.

    python examples/mall/api/shop.py                       serves it at http://127.0.0.1:8765; /docs shows it
    python examples/mall/api/shop.py --openapi FILE        writes its OpenAPI document

Covered: a request that the state of an order forbids is refused and changes nothing; a request that is repeated with the same
Idempotency-Key is answered as before and done once; with the same key for another request it is refused.
Not covered: who asks. A real shop puts a login before all of it.
"""

import argparse
import csv
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Body, FastAPI, Header, Request
from fastapi.responses import JSONResponse

HERE = Path(__file__).resolve().parent
DATABASE = HERE / "shop.db"

PREPARING, ON_ITS_WAY, DELIVERED, CANCELLED = "상품 준비 중", "배송 중", "배송 완료", "취소됨"

SCHEMA = """
CREATE TABLE orders (
  id TEXT PRIMARY KEY, phone TEXT NOT NULL, item TEXT NOT NULL, price INTEGER NOT NULL, status TEXT NOT NULL,
  address TEXT NOT NULL, place TEXT NOT NULL, arrives TEXT NOT NULL, refunded INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE mails (address TEXT NOT NULL, order_id TEXT NOT NULL, subject TEXT NOT NULL);
CREATE TABLE tickets (id TEXT PRIMARY KEY, order_id TEXT NOT NULL, problem TEXT NOT NULL);
CREATE TABLE calls (month INTEGER, day INTEGER, hour INTEGER, PRIMARY KEY (month, day, hour));
CREATE TABLE coupons (id TEXT PRIMARY KEY, phone TEXT NOT NULL, amount INTEGER NOT NULL);
CREATE TABLE answered (key TEXT PRIMARY KEY, request TEXT NOT NULL, answer TEXT NOT NULL);
"""
FULL_HOURS = (11, 16)
"""Hours of every day at which nobody is free to call back."""

Problem = Literal["파손", "누락", "오배송", "불량"]


class RefusedError(Exception):
    """A request that cannot be done, in words for the customer; nothing was changed."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def open_database(path: Path | str) -> sqlite3.Connection:
    """A connection to the shop's database, which is made and filled from `orders.csv` if it is empty."""
    database = sqlite3.connect(path, timeout=10, isolation_level=None)
    database.row_factory = sqlite3.Row
    database.execute("BEGIN IMMEDIATE")
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'orders'").fetchone():
        for statement in SCHEMA.split(";"):
            database.execute(statement)
        with (HERE / "orders.csv").open(encoding="utf-8", newline="") as file:
            rows = [tuple(row.values()) for row in csv.DictReader(file)]
        database.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)", rows)
    database.execute("COMMIT")
    return database


def won(amount: int) -> str:
    """An amount as customers read it: 42,000원."""
    return f"{amount:,}원"


class Shop:
    """What the shop does with orders; every method answers in the words that a customer is told, or refuses.

    Keys are Korean, as in the open data of Korean offices: a small model finds the word of the question beside the answer.

    Args:
        database: A connection; each method is one transaction of the caller's.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def get_order(self, order: str) -> dict[str, Any]:
        """What was bought, for how much, in which state it is, and where it goes."""
        row = self._order(order)
        return {"상품": row["item"], "금액": won(row["price"]), "상태": row["status"], "배송지": row["address"]}

    def list_orders(self, phone: str) -> list[dict[str, Any]]:
        """The orders of a telephone number."""
        rows = self._database.execute("SELECT id, item FROM orders WHERE phone = ? ORDER BY id", (phone,)).fetchall()
        if not rows:
            raise RefusedError(404, "그 전화번호로 한 주문이 없습니다.")
        return [{"상품": row["item"], "주문": row["id"]} for row in rows]

    def track_order(self, order: str) -> dict[str, Any]:
        """Where the parcel is, and when it arrives or arrived; refused before it is sent."""
        row = self._order(order)
        if row["status"] in (PREPARING, CANCELLED):
            raise RefusedError(409, "아직 발송하지 않은 주문입니다." if row["status"] == PREPARING else "취소한 주문입니다.")
        return {"위치": row["place"], "도착일": row["arrives"]}

    def cancel_order(self, order: str) -> dict[str, Any]:
        """Cancel an order that is not sent yet."""
        row = self._unsent(order)
        self._database.execute("UPDATE orders SET status = ? WHERE id = ?", (CANCELLED, order))
        return {"취소": order, "환불액": won(row["price"])}

    def change_address(self, order: str, address: str) -> dict[str, Any]:
        """Change where an order goes that is not sent yet."""
        self._unsent(order)
        self._database.execute("UPDATE orders SET address = ? WHERE id = ?", (address, order))
        return {"주문": order, "배송지": address}

    def refund_order(self, order: str, amount: int) -> dict[str, Any]:
        """Refund part or all of a delivered order; never more than was paid, in all."""
        row = self._order(order)
        if row["status"] != DELIVERED:
            raise RefusedError(409, "아직 배송하지 않은 주문입니다.")
        if amount > row["price"] - row["refunded"]:
            raise RefusedError(409, f"남은 결제 금액 {won(row['price'] - row['refunded'])}보다 많습니다.")
        self._database.execute("UPDATE orders SET refunded = refunded + ? WHERE id = ?", (amount, order))
        return {"주문": order, "환불액": won(amount)}

    def mail_receipt(self, order: str, email: str) -> dict[str, Any]:
        """Put a mail with the receipt into the outbox."""
        row = self._order(order)
        self._database.execute("INSERT INTO mails VALUES (?, ?, ?)", (email, order, f"영수증: {row['item']}"))
        return {"주문": order, "메일": email}

    def open_ticket(self, order: str, problem: str) -> dict[str, Any]:
        """Open a ticket about an article; one for each problem of an order."""
        self._order(order)
        ticket = f"T{_number(order, problem):03d}"
        self._database.execute("INSERT OR IGNORE INTO tickets VALUES (?, ?, ?)", (ticket, order, problem))
        return {"문제": problem, "접수 번호": ticket}

    def book_call(self, month: int, day: int, hour: int) -> dict[str, Any]:
        """Book an hour of the calendar in which the customer is called."""
        taken = self._database.execute("SELECT 1 FROM calls WHERE (month, day, hour) = (?, ?, ?)", (month, day, hour)).fetchone()
        if hour in FULL_HOURS or taken:
            raise RefusedError(409, f"{hour}시는 이미 찬 시간입니다.")
        self._database.execute("INSERT INTO calls VALUES (?, ?, ?)", (month, day, hour))
        return {"예약": f"{month}월 {day}일 {hour}시"}

    def issue_coupon(self, phone: str, amount: int) -> dict[str, Any]:
        """Issue a coupon to a telephone number."""
        coupon = f"C{_number(phone, str(amount)):03d}"
        self._database.execute("INSERT OR IGNORE INTO coupons VALUES (?, ?, ?)", (coupon, phone, amount))
        return {"쿠폰": coupon, "금액": won(amount)}

    def _order(self, order: str) -> sqlite3.Row:
        row: sqlite3.Row | None = self._database.execute("SELECT * FROM orders WHERE id = ?", (order,)).fetchone()
        if row is None:
            raise RefusedError(404, "없는 주문 번호입니다.")
        return row

    def _unsent(self, order: str) -> sqlite3.Row:
        row = self._order(order)
        if row["status"] != PREPARING:
            raise RefusedError(409, "이미 취소한 주문입니다." if row["status"] == CANCELLED else "이미 발송한 주문입니다.")
        return row


def _number(*parts: str) -> int:
    """A number of up to three digits that follows from what it is for."""
    return int(hashlib.sha256(" ".join(parts).encode()).hexdigest(), 16) % 1000


# --- over HTTP ---------------------------------------------------------------------------------------------------------

Order = Annotated[str, Body(description="주문 번호", pattern="^[A-Z][0-9]{4}$", embed=True)]
Key = Annotated[str, Header(alias="Idempotency-Key")]


def create_app(path: Path | str = DATABASE) -> FastAPI:
    """The API over a database file, which is made at the first request."""
    app = FastAPI(title="너울마루 주문 API", version="1")

    @app.exception_handler(RefusedError)
    def tell(request: Request, error: RefusedError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, error.status)

    @contextmanager
    def transaction() -> Iterator[sqlite3.Connection]:
        database = open_database(path)
        try:
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")
        finally:  # what is not committed is rolled back
            database.close()

    def do(key: str, name: str, **arguments: Any) -> Any:
        """Do it once for a key; for no key, every time."""
        request = json.dumps([name, arguments], sort_keys=True)
        with transaction() as database:
            before = key and database.execute("SELECT request, answer FROM answered WHERE key = ?", (key,)).fetchone()
            if before and before["request"] != request:
                raise RefusedError(422, "이 Idempotency-Key는 다른 요청에 쓰였습니다.")
            if before:
                return json.loads(before["answer"])
            method: Callable[..., Any] = getattr(Shop(database), name)
            answer = method(**arguments)
            if key:
                database.execute("INSERT INTO answered VALUES (?, ?, ?)", (key, request, json.dumps(answer)))
            return answer

    _add_reads(app, do)
    _add_writes(app, do)
    return app


def _add_reads(app: FastAPI, do: Callable[..., Any]) -> None:
    @app.get("/orders/{order}", operation_id="get_order", summary="주문 조회")
    def get_order(order: str) -> Any:
        return do("", "get_order", order=order)

    @app.get("/orders", operation_id="list_orders", summary="전화번호로 주문 찾기")
    def list_orders(phone: str) -> Any:
        return do("", "list_orders", phone=phone)

    @app.get("/orders/{order}/parcel", operation_id="track_order", summary="택배 위치 조회")
    def track_order(order: str) -> Any:
        return do("", "track_order", order=order)


def _add_writes(app: FastAPI, do: Callable[..., Any]) -> None:
    @app.post("/orders/{order}/cancel", operation_id="cancel_order", summary="주문 취소")
    def cancel_order(order: str, key: Key = "") -> Any:
        return do(key, "cancel_order", order=order)

    @app.put("/orders/{order}/address", operation_id="change_address", summary="배송지 변경")
    def change_address(order: str, address: Annotated[str, Body(embed=True, min_length=2, max_length=80)], key: Key = "") -> Any:
        return do(key, "change_address", order=order, address=address)

    @app.post("/orders/{order}/refund", operation_id="refund_order", summary="환불 신청")
    def refund_order(order: str, amount: Annotated[int, Body(embed=True, ge=1)], key: Key = "") -> Any:
        return do(key, "refund_order", order=order, amount=amount)

    @app.post("/mails", operation_id="mail_receipt", summary="영수증 메일 발송")
    def mail_receipt(order: Order, email: Annotated[str, Body(pattern=r"^\S+@\S+$")], key: Key = "") -> Any:
        return do(key, "mail_receipt", order=order, email=email)

    @app.post("/tickets", operation_id="open_ticket", summary="상품 문제 접수")
    def open_ticket(order: Order, problem: Annotated[Problem, Body()], key: Key = "") -> Any:
        return do(key, "open_ticket", order=order, problem=problem)

    @app.post("/calls", operation_id="book_call", summary="전화 상담 예약")
    def book_call(
        month: Annotated[int, Body(ge=1, le=12)],
        day: Annotated[int, Body(ge=1, le=31)],
        hour: Annotated[int, Body(ge=9, le=18)],
        key: Key = "",
    ) -> Any:
        return do(key, "book_call", month=month, day=day, hour=hour)

    @app.post("/coupons", operation_id="issue_coupon", summary="쿠폰 발급")
    def issue_coupon(phone: Annotated[str, Body()], amount: Annotated[int, Body(ge=100, le=10_000)], key: Key = "") -> Any:
        return do(key, "issue_coupon", phone=phone, amount=amount)


app = create_app()


def main() -> None:
    """Serve the API on this machine, or write its document."""
    import uvicorn

    parser = argparse.ArgumentParser(description="The order API of the mall example.")
    parser.add_argument("--port", type=int, default=8765, help="port on 127.0.0.1")
    parser.add_argument("--database", type=Path, default=DATABASE, help="SQLite file; made if it is missing")
    parser.add_argument("--openapi", type=Path, help="write the OpenAPI document to this file, and end")
    given = parser.parse_args()
    if given.openapi:
        given.openapi.write_text(json.dumps(app.openapi(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        return
    uvicorn.run(create_app(given.database), host="127.0.0.1", port=given.port)


if __name__ == "__main__":
    main()

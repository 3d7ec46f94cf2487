"""The page on which people decide about calls that wait, and see what was decided."""

import json

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from sadari.serve.pages import look

router = APIRouter(include_in_schema=False)


@router.get("/approvals")
def show(request: Request, viewer: look.Asking) -> HTMLResponse:
    """All that waits for those who approve; for others what they asked for themselves, to look at."""
    told = json.dumps(dict(look.words("approvals", viewer.language)), ensure_ascii=False)
    return look.page(request, viewer, "approvals", told=told, approves=viewer.identity.may("approve"))

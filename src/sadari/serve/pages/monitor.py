"""The page monitor."""

from fastapi import APIRouter

router = APIRouter(include_in_schema=False)

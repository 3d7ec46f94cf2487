"""Answers piece by piece: the same in the end as at once, and never taken back."""

from dataclasses import replace

import pytest

from layouts import LAYOUTS
from sadari.errors import BusyError
from sadari.model.engine import Limits
from sadari.model.local import LocalModel
from sadari.types import Message, OneOf, Request, StreamingModel, ToolSpec

from .test_local import requests


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_pieces_of_a_stream_are_the_answer(local_model, name):
    model = local_model(name)
    for request in requests(shared=True):
        *pieces, last = model.stream(replace(request, max_new_tokens=40))
        whole = model.generate([replace(request, max_new_tokens=40)])[0]

        assert last.done is not None
        assert "".join(p.text for p in pieces) == last.done.text == whole.text
        assert last.done.usage == whole.usage
        assert all(p.done is None for p in pieces)


def test_a_stop_string_is_never_told_in_part(local_model):
    model = local_model("llama")
    request = replace(requests()[1], max_new_tokens=40)
    text = model.generate([request])[0].text
    stop = text[5:9]

    pieces = [p.text for p in model.stream(replace(request, stop=(stop, "no such thing")))]

    assert "".join(pieces) == text[: text.index(stop)]


def test_a_model_that_streams_is_told_by_its_shape(local_model):
    assert isinstance(local_model("llama"), StreamingModel)


def test_a_stream_that_is_closed_frees_its_place(local_model):
    model = local_model("llama")
    stream = model.stream(replace(requests()[0], max_new_tokens=400))
    next(stream)
    assert model.engine._schedulers[None].running

    stream.close()

    assert not model.engine._schedulers[None].running
    assert model.engine._schedulers[None].decoder.memory.reserved == 0


def test_streams_go_on_side_by_side(local_model):
    model = local_model("qwen3")
    asked = [replace(r, max_new_tokens=30) for r in requests()[:3]]
    streams, texts = [model.stream(r) for r in asked], ["", "", ""]
    open_streams = dict(enumerate(streams))
    while open_streams:
        for i, stream in list(open_streams.items()):
            piece = next(stream, None)
            if piece is None:
                del open_streams[i]
            else:
                texts[i] += piece.text
    assert texts == [g.text for g in model.generate(asked)]


def test_a_full_queue_refuses_a_stream(checkpoint):
    model = LocalModel(checkpoint("llama"), limits=Limits(rows=1, waiting=1))
    running = model.stream(replace(requests()[0], max_new_tokens=50))
    next(running)
    waiting = model.stream(requests()[1])
    model.engine.submit(model._row(requests()[1], 0))
    with pytest.raises(BusyError, match="Try again later"):
        next(waiting)
    running.close()


def test_what_cannot_be_answered_is_told_in_one_piece(local_model):
    (only,) = local_model("llama").stream(Request((Message("user", "가나다 " * 400),)))
    assert only.done.finish == "error"
    assert "768" in only.done.error


def test_a_tool_call_comes_whole_and_the_text_around_it_as_text(local_model):
    model = local_model("qwen2")
    tools = (ToolSpec("lookup", "Find an order.", {"type": "object", "properties": {"order": {"type": "integer"}}}),)
    said = '잠시만요. <tool_call>\n{"name": "lookup", "arguments": {"order": 12345}}\n</tool_call>'
    pieces = list(model.stream(replace(requests()[0], tools=tools, constraint=OneOf((said,)))))

    assert "".join(p.text for p in pieces).strip() == "잠시만요."
    assert [p.tool_call.arguments for p in pieces if p.tool_call] == [{"order": 12345}]
    assert pieces[-1].done.tool_calls[0].name == "lookup"

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from winnow.client.events import ServerEvent, server_events

STREAM = b': remark\n\nid: 1\nevent: progress\ndata: {"a": 1}\n\nid: 2\r\ndata: first\r\ndata: second\r\n\r\nid: 3\n\n'
EVENTS = [ServerEvent("1", "progress", '{"a": 1}'), ServerEvent("2", "message", "first\nsecond")]


@given(st.sets(st.integers(1, len(STREAM) - 1)))
def test_events_do_not_depend_on_how_the_stream_is_cut(cuts: set[int]) -> None:
    bounds = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[start:stop] for start, stop in pairwise(bounds)]
    assert list(server_events(chunks)) == EVENTS


@given(st.text())
def test_any_text_in_json_survives(text: str) -> None:
    line = f"data: {json.dumps({'text': text}, ensure_ascii=False)}\n\n".encode("utf-8", "surrogatepass")
    if "\ud800" <= max(text, default="") <= "\udfff":
        return
    (event,) = server_events([line])
    assert json.loads(event.data) == {"text": text}


def test_an_event_cut_off_in_the_middle_is_dropped() -> None:
    assert list(server_events([b"data: whole\n\ndata: ha"])) == [ServerEvent("", "message", "whole")]

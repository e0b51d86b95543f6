"""Bodies: every byte once and in order, however it is cut; counted as it moves."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.client.bodies import CHUNK, Buffers, FileBody, Meter, ResponseBuffer
from flstore_core.errors import Unavailable

PIECES = st.lists(st.binary(max_size=40), max_size=6)


@given(PIECES)
def test_pieces_are_sent_in_order_and_their_sizes_add_up(pieces: list[bytes]) -> None:
    body = Buffers([memoryview(piece) for piece in pieces])
    assert b"".join(body.chunks()) == b"".join(pieces)
    assert body.nbytes == len(b"".join(pieces))
    assert b"".join(body.chunks()) == b"".join(pieces), "a second attempt sends the same bytes"


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_a_large_piece_is_cut_into_chunks_without_a_copy(size: int) -> None:
    piece = memoryview(bytearray(size))
    chunks = list(Buffers([piece]).chunks())
    assert [len(chunk) for chunk in chunks] == [CHUNK] * (size // CHUNK) + [size % CHUNK] * bool(size % CHUNK)
    assert all(isinstance(chunk, memoryview) and chunk.obj is piece.obj for chunk in chunks)


def test_a_file_is_read_again_for_every_attempt(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(range(256)) * 2048)
    body = FileBody(path, path.stat().st_size)
    for _ in range(2):
        chunks = list(body.chunks())
        assert b"".join(chunks) == path.read_bytes()
        assert max(map(len, chunks)) <= CHUNK


@given(PIECES, st.integers(0, 300))
def test_progress_never_shrinks_and_never_exceeds_the_total(pieces: list[bytes], announced: int) -> None:
    calls: list[tuple[int, int]] = []
    meter = Meter(lambda done, total: calls.append((done, total)), announced)
    for piece in pieces:
        meter.add(len(piece))
    assert [done for done, _ in calls] == [sum(map(len, pieces[: index + 1])) for index in range(len(pieces))]
    assert all(done <= total for done, total in calls)
    assert all(total == announced for done, total in calls if done <= announced)


@given(PIECES, st.sampled_from(["right", "absent", "too small", "not a number", "²", "9" * 5000]))
def test_a_response_is_collected_whatever_its_length_header_says(pieces: list[bytes], header: str) -> None:
    whole = b"".join(pieces)
    length = {"right": str(len(whole)), "too small": str(len(whole) // 2)}.get(header, header)
    buffer = ResponseBuffer({} if header == "absent" else {"content-length": length}, None)
    for piece in pieces:
        buffer.add(piece)
    assert buffer.body == whole


def test_a_response_of_known_length_is_collected_without_growing() -> None:
    calls: list[tuple[int, int]] = []
    buffer = ResponseBuffer({"content-length": "6"}, lambda done, total: calls.append((done, total)))
    before = buffer.body
    buffer.add(b"abc")
    buffer.add(b"def")
    assert buffer.body is before
    assert calls == [(3, 6), (6, 6)]


@pytest.mark.parametrize("headers", [{"content-length": "4"}, {"content-length": "3"}, {}])
def test_a_response_that_is_longer_than_was_asked_for_is_refused_before_it_is_held(headers: dict[str, str]) -> None:
    with pytest.raises(Unavailable, match="4 bytes or more, at most 3 were asked for"):
        ResponseBuffer(headers, None, 3).add(b"abcd")

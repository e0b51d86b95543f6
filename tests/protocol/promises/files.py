"""What is read of a data set are the bytes that its record has the hash of, and a put that was acknowledged is read."""

from hashlib import sha256

from flstore_core import layout
from flstore_core.errors import NotFound
from flstore_core.files import StoredFile
from tests.protocol.clients import DATASET, DONE
from tests.protocol.promises.end import End


def check(end: End) -> None:
    """Check what is promised of data sets."""
    for attempt in end.history.of("read-dataset"):
        if isinstance(attempt.answer, tuple):
            record, content = attempt.answer
            assert record.sha256 == sha256(content).hexdigest(), "a data set's record was read with other bytes"
    if end.job is None:
        return
    stored = _read(end)
    for attempt in end.history.of("put-dataset", home=end.job.home):
        if isinstance(attempt.answer, StoredFile):
            others = [each for each in end.history.of("put-dataset", "drop-dataset") if each.ended >= attempt.began]
            if others == [attempt]:
                assert stored, "a data set was acknowledged and is not there"
                assert stored.sha256 == attempt.answer.sha256, "a data set was acknowledged and is another"
    for attempt in end.history.of("drop-dataset", home=end.job.home):
        puts = [each for each in end.history.of("put-dataset") if each.ended >= attempt.began]
        if attempt.answer == DONE and not puts:
            left = [key for key in end.store.contents if key.startswith(layout.dataset(end.job.home, DATASET)[:-12])]
            assert stored is None, f"a data set was deleted, and there is {left}"


def _read(end: End) -> StoredFile | None:
    assert end.job
    try:
        record = end.gateway.programs.read_dataset(end.job, DATASET)
    except NotFound:
        return None
    content = end.store.contents.get(layout.dataset(end.job.home, DATASET, record.upload))
    assert content is not None, "a data set's record has no file"
    assert record.sha256 == sha256(content).hexdigest(), "a data set's record has other bytes"
    return record

"""What must hold at the end of a schedule, whatever happened in it. Each module checks one kind of promise."""

from collections.abc import Iterator

from flstore_core.errors import FLStoreError
from tests.protocol.promises import answers, erasures, files, jobs, rounds
from tests.protocol.promises.end import End
from tests.protocol.schedules import Schedule


def broken(schedule: Schedule) -> Iterator[str]:
    """Return what a schedule has broken."""
    if schedule.endless:
        yield "the clients do not come to an end"
        return
    try:
        end = End(schedule)
        for module in (rounds, erasures, files, answers, jobs):  # the last one deletes the job
            module.check(end)
    except AssertionError as error:
        yield next(filter(None, str(error).splitlines()), "an assertion without words")
    except FLStoreError as error:
        yield f"a gateway that was just started fails: {error.detail}"


__all__ = ["broken"]

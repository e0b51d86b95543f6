"""Mends of data sets and programs."""

from flstore_core import layout
from flstore_core.files import FileName, Files
from flstore_core.ids import Home
from tests.protocol.mends.base import Mend, Patch, ignore_conditions


def _share_a_file(patch: Patch) -> None:
    dataset = layout.dataset

    def dataset_of_all(home: Home, name: str, upload: str = "") -> str:
        return dataset(home, name, "all" if upload else "")

    patch.setattr(layout, "dataset", dataset_of_all)


def _delete_all_others(patch: Patch) -> None:
    list_files, replace = Files._list, Files._replace

    def list_again(files: Files, name: FileName, document: dict[str, object], etag: str | None, keep: str = "") -> None:
        replace(files, name, document, etag, keep)
        for key in sorted(list_files(files, name) - {keep}):
            files._store.delete(key)

    patch.setattr(Files, "_replace", list_again)


MENDS = [
    Mend("data-sets-of-their-own", "a data set's record has another upload's bytes", _share_a_file, "files", 15),
    Mend(
        "data-sets-by-etag",
        "an upload's record names a file that another one has deleted",
        lambda patch: ignore_conditions(patch, "*/datasets/*.json"),
        "files",
        24,
    ),
    Mend(
        "listed-before-the-record-is-replaced",
        "an upload deletes the file of one that came after it",
        _delete_all_others,
        "files",
        75,
    ),
]

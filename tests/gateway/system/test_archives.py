"""Running systems hand a job to each other as an archive."""

from pathlib import Path

from flstore_core.archives import export_job, import_job
from flstore_core.client import FLStore
from tests.archives.jobs import answers, described, fill
from tests.running.processes import System
from tests.workloads.questions import assert_agree


def test_a_job_goes_from_a_directory_to_a_bucket_and_back(on_directory: System, on_s3: System, tmp_path: Path) -> None:
    with FLStore(on_directory.gateway.url) as laptop, FLStore(on_s3.gateway.url) as cluster:
        fill(laptop, "moved")
        there = export_job(laptop, "moved", tmp_path / "there.tar")
        import_job(cluster, tmp_path / "there.tar", fingerprint=there.fingerprint)
        export_job(cluster, "moved", tmp_path / "back.tar")
        import_job(laptop, tmp_path / "back.tar", name="returned")
        assert described(laptop, "moved") == described(cluster, "moved") == described(laptop, "returned")
        first = answers(laptop, "moved")
        for other in (answers(cluster, "moved"), answers(laptop, "returned")):
            assert_agree(first, other, 1e-6)

"""Archives of jobs: one tar file with all that a gateway gives of a job, to keep, or to take to another gateway.

Here: what an archive holds (`base`), how it lies in a tar file (`tar`), a job written to one (`exporting`), an archive
checked (`reading`) and put into a gateway (`importing`). Everything goes through the HTTP API, by the token of whoever
asks: a user knows no store.

Not here: copies of whole stores (`flstore_core.storage.copying`), and tables of metadata (`flstore_core.tables`).
"""

from flstore_core.archives.exporting import Exported, export_job
from flstore_core.archives.importing import Imported, import_job

__all__ = ["Exported", "Imported", "export_job", "import_job"]

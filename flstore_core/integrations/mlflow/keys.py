"""Names of metrics, parameters and tags as MLflow takes them."""

import posixpath
import re
from hashlib import sha256

LONGEST = 250
_FORBIDDEN = re.compile(r"[^\w./ -]")
"""Characters that some version of MLflow refuses on some operating system; the colon is one."""


def key_of(*parts: str) -> str:
    """Return parts of a name as one, with slashes between: MLflow shows metrics by what stands before the last.

    What MLflow does not take becomes `_`, and a hash of the name is added, which tells it from others: `a:b` is kept as
    `a_b-c0b8eb73`.
    """
    name = "/".join(parts)
    key = _FORBIDDEN.sub("_", name)
    if posixpath.normpath(key) != key or key.startswith(("/", ".")):
        key = "_" + key.replace("/", "_")
    if key == name and len(key) <= LONGEST:
        return key
    mark = sha256(name.encode(errors="replace")).hexdigest()[:8]
    return f"{key[: LONGEST - len(mark) - 1]}-{mark}"

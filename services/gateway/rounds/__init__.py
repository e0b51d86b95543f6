"""Rounds in the object store: which ones exist; how they are opened, filled, committed, read and cleared of a client.

Everything that writes below `jobs/{job}/rounds/` belongs here, and with it the order of the writes, on which durability
rests: `ingest` (with the checks in `upload`), `commit`, `erase`. What reads also belongs here: `index` knows which
rounds exist, `opening` reads open rounds, `records` reads committed ones through a cache, and `statistics` has shards
compute what the store does not have.

How answers are made, how backends are called and everything about HTTP belong elsewhere.
"""

"""Rounds in the object store: which there are, how they are opened, filled, committed, read, and how clients leave.

Everything that writes below `jobs/{job}/rounds/` belongs here, and with it the order of the writes, on which durability
rests: `ingest` (acknowledge), `commit`, `erase`. The readers are `index` (what there is), `opening` (open rounds),
`records` (committed rounds, cached) and `statistics` (rounds whose statistics are not in the store).

What an answer is made of and how a shard is called belongs elsewhere, and so does everything HTTP.
"""

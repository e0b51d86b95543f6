"""The baselines that FLStore is compared with, built with care and behind the same HTTP API.

`python -m loadgen.baselines.objstore`: an aggregator that reads what a request needs from the object store.
`python -m loadgen.baselines.cache`: the same with Redis in front. Both run FLStore's own workload functions
(`loadgen.baselines.aggregator`), so that the difference is the architecture.
"""

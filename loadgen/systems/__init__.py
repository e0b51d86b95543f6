"""The systems that load is put on, as processes of this machine: FLStore, the baselines, and an object store.

Here: `deployments` starts FLStore or a baseline, `seaweedfs` an S3 server, `processes` ties children to this process
and measures their memory. What a baseline does belongs to `loadgen.baselines`.
"""

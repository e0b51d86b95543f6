"""Jobs as `FLJob` objects: an object creates its job, a job created over HTTP gets an object, and both show its state.

Here belong the meaning of an object's specification, its status, and the reconciling of objects with the jobs in the
store. How objects are read, watched and written is `services.placement.kube`; where a job's data lies is decided by the
controller, which knows no objects.
"""

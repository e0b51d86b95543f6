"""Jobs as `FLJob` objects: an object creates its job, a job created over HTTP gets an object, and both show its state.

What belongs here: what an object's specification means, its status, and the reconciling of objects with the jobs in
the store. `services.placement.kube` reads, watches and writes objects. The controller, which knows no objects, decides
where a job's data lies.
"""

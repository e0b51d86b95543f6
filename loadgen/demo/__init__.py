"""The demonstration: a real federated training with planted attackers, and questions about it asked in three ways.

`training` knows only NumPy and scikit-learn; `measure` asks FLStore and the aggregator of `loadgen.baselines`, and
compares their answers; `command` shows it all. `models` and `models_training` are the same for the workloads that run
a model.
"""

from flstore_core.cli.lazy import LazyCommand

demo_command = LazyCommand("demo", "loadgen.demo.command:demo_command", "Train, attack, ask every workload, compare.")
demo_models_command = LazyCommand(
    "demo-models", "loadgen.demo.models:demo_models_command", "Train, and ask what needs a model."
)

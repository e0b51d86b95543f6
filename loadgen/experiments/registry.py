"""All experiments, in the order of the page."""

from loadgen.experiments.ablation import Ablation
from loadgen.experiments.base import Experiment
from loadgen.experiments.cold import Cold
from loadgen.experiments.faults import Faults
from loadgen.experiments.growth import BASE, Growth
from loadgen.experiments.paper import Paper
from loadgen.experiments.planning import Planning
from loadgen.experiments.policies import Policies
from loadgen.experiments.saturation import Saturation

EXPERIMENTS: tuple[Experiment, ...] = (
    Paper("paper", "Latency and cost against both baselines, loopback"),
    Paper("paper-cloud", "Latency and cost against both baselines, behind the links of a cloud"),
    Paper("paper-large", "Latency and cost against both baselines, larger models, loopback"),
    Cold(),
    Policies(),
    Saturation(),
    *(Growth(dimension) for dimension in BASE),
    Faults(),
    Ablation(),
    Planning(),
)

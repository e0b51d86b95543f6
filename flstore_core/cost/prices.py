"""Prices as data, each with its unit, date and source: on demand, in us-east-1, without free tiers.

They were entered by hand and not compared with the pages that they name. Compare them before quoting a figure in
dollars: ratios between systems depend on prices as much as on what was measured.
"""

from dataclasses import dataclass

_LAMBDA = "https://aws.amazon.com/lambda/pricing/"
_S3 = "https://aws.amazon.com/s3/pricing/"
_FARGATE = "https://aws.amazon.com/fargate/pricing/"
_ELASTICACHE = "https://aws.amazon.com/elasticache/pricing/"
_AS_OF = "2025-06-01"


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for one unit of something."""

    dollars: float
    unit: str
    source: str
    as_of: str = _AS_OF
    """Date of the price list, YYYY-MM-DD."""


@dataclass(frozen=True, slots=True)
class CacheNode:
    """A machine type of an in-memory cache."""

    name: str
    gib: float
    """Memory for data, in GiB."""
    hour: Price


@dataclass(frozen=True, slots=True)
class Prices:
    """Everything a comparison needs."""

    function_gb_second: Price
    """Memory of a function while it runs."""
    function_request: Price
    """One invocation."""
    aggregator_hour: Price
    """The virtual machine of the baselines."""
    store_put: Price
    store_get: Price
    store_gb_month: Price
    node_cpu_hour: Price
    """One CPU of a pod while it lives: Knative on rented nodes."""
    node_gib_hour: Price
    """One GiB of a pod's memory while it lives."""
    cache_nodes: tuple[CacheNode, ...]
    """The smallest first."""


def _node(name: str, gib: float, dollars: float) -> CacheNode:
    return CacheNode(name, gib, Price(dollars, "node-hour", _ELASTICACHE))


AWS = Prices(
    function_gb_second=Price(0.0000166667, "GB-second", _LAMBDA),
    function_request=Price(0.20 / 1e6, "request", _LAMBDA),
    aggregator_hour=Price(0.922, "hour of ml.m5.4xlarge", "FLStore's published code, arXiv:2503.00323", "2025-03-01"),
    store_put=Price(0.005 / 1e3, "PUT", _S3),
    store_get=Price(0.0004 / 1e3, "GET", _S3),
    store_gb_month=Price(0.023, "GB-month", _S3),
    node_cpu_hour=Price(0.04048, "vCPU-hour", _FARGATE),
    node_gib_hour=Price(0.004445, "GB-hour", _FARGATE),
    cache_nodes=(
        _node("cache.t4g.micro", 0.5, 0.016),
        _node("cache.t4g.small", 1.37, 0.032),
        _node("cache.t4g.medium", 3.09, 0.065),
        _node("cache.r6g.large", 13.07, 0.206),
        _node("cache.r6g.xlarge", 26.32, 0.411),
        _node("cache.r6g.2xlarge", 52.82, 0.821),
        _node("cache.r6g.4xlarge", 105.81, 1.642),
    ),
)

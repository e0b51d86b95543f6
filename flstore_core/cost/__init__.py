"""What things cost by published prices: a request, an idle hour, a trace, here and at both baselines.

Pure functions over what was used. Measuring that is the services' business; showing it, the reports'. Amounts are US
dollars. Where a figure has to be assumed, it is assumed in the baselines' favour and says so.
"""

from flstore_core.cost.baselines import (
    Reads,
    cache_hour,
    cache_node_for,
    cache_request,
    objstore_hour,
    objstore_request,
)
from flstore_core.cost.bill import Bill, saving
from flstore_core.cost.prices import AWS, Price, Prices
from flstore_core.cost.request import RequestCost, request_cost
from flstore_core.cost.serverless import Usage, lambda_bill, node_bill, node_idle_hour, stored

__all__ = [
    "AWS",
    "Bill",
    "Price",
    "Prices",
    "Reads",
    "RequestCost",
    "Usage",
    "cache_hour",
    "cache_node_for",
    "cache_request",
    "lambda_bill",
    "node_bill",
    "node_idle_hour",
    "objstore_hour",
    "objstore_request",
    "request_cost",
    "saving",
    "stored",
]

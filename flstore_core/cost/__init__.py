"""What things cost by published prices: a request, an idle hour, a trace, here and at both baselines.

Here belong prices as data and pure functions from what was used to US dollars. Measuring what was used belongs in the
services, showing amounts in the reports. Where a figure has to be assumed, it is assumed in favour of the baselines,
and its docstring says so.
"""

from flstore_core.cost.baselines import (
    Reads,
    cache_hour_bill,
    cache_request_bill,
    objstore_hour_bill,
    objstore_request_bill,
    smallest_cache_node,
)
from flstore_core.cost.bill import Bill, saving
from flstore_core.cost.prices import AWS, Price, Prices
from flstore_core.cost.request import RequestCost, price_request
from flstore_core.cost.serverless import Usage, idle_hour_bill, lambda_bill, node_bill, storage_bill

__all__ = [
    "AWS",
    "Bill",
    "Price",
    "Prices",
    "Reads",
    "RequestCost",
    "Usage",
    "cache_hour_bill",
    "cache_request_bill",
    "idle_hour_bill",
    "lambda_bill",
    "node_bill",
    "objstore_hour_bill",
    "objstore_request_bill",
    "price_request",
    "saving",
    "smallest_cache_node",
    "storage_bill",
]

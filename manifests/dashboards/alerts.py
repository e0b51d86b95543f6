"""What somebody should be told about, and what to do then."""

from manifests.dashboards.base import Alert

ALERTS = (
    Alert(
        "FLStoreRequestsFail",
        '(sum(rate(flstore_requests_total{status=~"5.."}[5m])) or vector(0)) / sum(rate(flstore_requests_total[5m]))',
        ">",
        0.05,
        5,
        "More than 5 % of requests fail. Look at the gateway's log for the first error of each code; "
        "503 with store-unavailable means the object store.",
        "critical",
    ),
    Alert(
        "FLStoreColdStartsSlow",
        "histogram_quantile(0.9, sum by (le) (rate(flstore_cold_start_seconds_bucket{stage='whole'}[15m])))",
        ">",
        5,
        10,
        "Calls wait over 5 s for a shard to start: is the image there, does Knative resolve its tag, is CPU left?",
    ),
    Alert(
        "FLStoreShardsCrash",
        'sum(max by (cause) (increase(flstore_placement_shard_starts_total{cause=~"replacement|restart"}[15m])))',
        ">",
        3,
        0,
        "Shards were killed or crashed more than 3 times in 15 minutes. `flstore status` says why; for "
        "OOMKilled lower shards.cacheBytes or raise shards.memory.",
    ),
    Alert(
        "FLStoreShardFailed",
        'sum(max by (state) (flstore_placement_shards{state="failed"}))',
        ">",
        0,
        5,
        "A shard cannot serve until somebody helps. The events of its Knative service say what would.",
        "critical",
    ),
    Alert(
        "FLStorePlacementRefuses",
        "(sum(increase(flstore_placement_plan_errors_total[15m])) or vector(0))",
        ">",
        5,
        0,
        "The placement controller cannot place a job or reconcile. Its log and the FLJob's conditions say why.",
    ),
    Alert(
        "FLStoreNoPlacement",
        "max(flstore_placement_table_version)",
        "<",
        1,
        5,
        "No placement table is in force: requests for weights cannot be answered. Is the object store reachable?",
        "critical",
    ),
    Alert(
        "FLStoreGatewayBehind",
        "max(flstore_placement_table_version) - min(flstore_table_version)",
        ">",
        0,
        10,
        "A gateway has followed an old placement table for 10 minutes; restart it if it does not reach the controller.",
    ),
    Alert(
        "FLStoreUploadsRefused",
        '(sum(rate(flstore_requests_total{status="429"}[5m])) or vector(0))',
        ">",
        1,
        10,
        "Uploads are refused for want of room. Raise gateway.inFlightBytes, or let more gateways run.",
    ),
)

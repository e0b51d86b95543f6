"""Load and evidence: traces, an open-loop runner, the baselines, reports. Talks HTTP only, like any user."""

"""The policy made for the access patterns of federated learning, one part a file; start with `policy`.

Here belongs what decides by rounds, clients and patterns. Decisions by recency, frequency or size alone belong in
`flstore_core.policies.classic`; counting bytes belongs in `flstore_core.cache`. From the bottom up:

    known_rounds                        what exists: rounds, their objects, who took part when
    hazard                              how many requests a second a kind of data gets at each age
    candidates                          groups worth holding: a group, its kind, its hazard
    newest, recently_requested, scans   the three ways in which candidates arise
    demand                              all candidates of one slice of a job
    knapsack                            which candidates to hold
    metadata, unplanned                 what is held outside the plan
    policy                              the policy itself
"""

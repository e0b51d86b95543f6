"""The general-purpose policies of the literature, one a file: the rivals that the tailored policy is measured against.

They know recency, frequency and size of single objects, and nothing of rounds, clients or patterns; whatever does
belongs in `flstore_core.policies.tailored`. All extend `base.Classic`, and each exists in two forms: filled by misses
alone, and filled by newly ingested objects as well.
"""

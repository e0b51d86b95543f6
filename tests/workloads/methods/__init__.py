"""Tests of the methods on small arrays.

Expected values come from the definition by brute force, a closed form, a published example, SciPy, scikit-learn or
Flower. What holds for a whole workload is tested one folder up.
"""

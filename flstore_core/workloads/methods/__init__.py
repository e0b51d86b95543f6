"""Published methods as pure mathematics: arrays in, arrays out, one method a file, its source in the first lines.

Here belongs what a textbook or a paper describes: aggregation rules, clustering, change points, Shapley values,
quantile sketches. Methods take numbers and NumPy arrays, mostly a round's Gram matrix of deltas. They import NumPy
and each other, nothing else of this project but memory to write to (`buffers`).

Workloads, rounds, clients' names, parameters and error messages do not belong here. A workload turns its question
into arrays, and the arrays into its answer; `shared` holds what several workloads do alike on the way. A formula of a
few lines that one workload uses may stay in that workload's file.
"""

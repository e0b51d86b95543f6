"""Pictures for reports: what they show as plain data, and how all of them look, as SVG by matplotlib.

Whoever measures makes a `Picture` and draws nothing. Checked-in pictures have their data beside them, so that all of
them can be drawn anew, in another look, without measuring again: `make pictures`.

Here: `base` (what a picture shows), `drawing` (the look; the only user of matplotlib, which it imports when it draws),
`files` (pictures with their data). Not here: what is interactive, and what any measurement means.
"""

"""What several views draw with.

Pure, tested without a browser: `charts` (loaded values to ECharts' options), `colours`, `numbers`. Drawing: `elements`
(texts and blocks of HTML), `pictures` (a chart on the page), `states` (nothing there, trouble), `live` (what is asked
for again and again).
"""

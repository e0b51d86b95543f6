"""The console in a real browser, before a real system. `make console-check` runs these tests; `make test` does not."""

"""The storage protocol, played under schedules that a seed chooses: `python -m tests.protocol --schedules 1000`.

Each schedule has a store in memory that fails, and a few clients that upload, commit, erase, delete and create through
gateways of their own. Every client runs up to its next call of the store; then chance says who goes on, and whether
the call is carried out, refused, carried out with its answer lost, carried out twice, or carried out much later than
its caller gave it up. Gateways crash before any call, and their clocks are wrong. `promises` says what must hold in
the end. The seed of a schedule determines all of it, so a schedule that breaks a promise can be played again.
"""

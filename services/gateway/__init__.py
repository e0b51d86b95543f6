"""The gateway: the public HTTP API. It stores rounds, has shards work next to the data, and combines their answers.

Everything it remembers can be read again from the object store, so any number of gateways may run side by side.

`routes` translate HTTP, `rounds` store and read what was sent, `answers` turn a question into an answer, and `backends`
call shards and predictors. `state` wires these parts together, and `app` makes them a service.
"""

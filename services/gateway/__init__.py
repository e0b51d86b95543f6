"""The gateway: the public HTTP API. It stores, asks the shards next to the data, and combines what they answer.

Everything it remembers can be read again from the object store, so any number of gateways may run side by side.
"""

"""The helper: a small process that keeps the few rights that are still needed once netwatch itself has none.

It never has a packet. `protocol` says what it can be asked for, `server` is its program, `client` asks.
"""

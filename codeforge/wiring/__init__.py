"""The only place that picks adapters, one module a process, so that each imports only what it works with.

Clients are made here and closed by who asked for them.
"""

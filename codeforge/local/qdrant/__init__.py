"""The embedded Qdrant: the part of Qdrant's REST API that this project uses, served by Qdrant's own engine.

`python -m codeforge.local.qdrant --host 127.0.0.1 --port N --path DIR` is one process that owns DIR. Requests and
answers are in Qdrant's wire format (https://api.qdrant.tech/api-reference), so that one adapter, and one set of
contract tests, serves both this process and a real Qdrant server. What is not served is refused, never ignored.
"""

"""The graph's labels and relationship types. Every node has a unique `id` and a `tenant`; shared nodes (documents,
chunks) have the tenant hashed into their id, so that tenants never meet."""

LABELS = ("Task", "ModelCall", "Document", "Chunk", "Artifact", "Claim", "Argument", "Verdict")

EDGE_TYPES = (
    "CHILD_OF", "CALLED", "FETCHED", "HAS_CHUNK", "LINKS_TO", "PRODUCED", "CLAIMED", "CITES", "ARGUED", "REBUTS",
    "DECIDED", "WEIGHS",
)  # fmt: skip

"""The graph's labels and relationship types. Every node has a unique `id` and a `tenant`; shared nodes (documents,
chunks) have the tenant hashed into their id, so that tenants never meet.

One exception: a parent that is not stored yet is a Task node with nothing but its id, for its children to hang on to;
it gets its tenant, and so can be found, when it is stored itself."""

from enum import StrEnum


class Label(StrEnum):
    """What a node is."""

    TASK = "Task"
    MODEL_CALL = "ModelCall"
    DOCUMENT = "Document"
    VERSION = "Version"
    CHUNK = "Chunk"
    ARTIFACT = "Artifact"
    CLAIM = "Claim"
    ARGUMENT = "Argument"
    VERDICT = "Verdict"


class EdgeType(StrEnum):
    """What a relationship says, with the labels of its ends."""

    CHILD_OF = "CHILD_OF"  # Task -> Task
    CALLED = "CALLED"  # Task -> ModelCall
    FETCHED = "FETCHED"  # Task -> Document
    REUSED = "REUSED"  # Task -> Task, whose result it gave as its own
    READ = "READ"  # Task -> Document, a source of an analysis
    HAS_VERSION = "HAS_VERSION"  # Document -> Version, each text that it was seen with
    FOLLOWS = "FOLLOWS"  # Version -> Version, the text before it
    HAS_CHUNK = "HAS_CHUNK"  # Document -> Chunk
    LINKS_TO = "LINKS_TO"  # Document -> Document
    PRODUCED = "PRODUCED"  # Task -> Artifact
    CLAIMED = "CLAIMED"  # Task -> Claim
    CITES = "CITES"  # Claim -> Chunk or Document
    ARGUED = "ARGUED"  # Task -> Argument
    REBUTS = "REBUTS"  # Argument -> Argument
    DECIDED = "DECIDED"  # Task -> Verdict
    WEIGHS = "WEIGHS"  # Verdict -> Argument


PART_EDGES = frozenset({EdgeType.CALLED, EdgeType.PRODUCED, EdgeType.CLAIMED, EdgeType.ARGUED, EdgeType.DECIDED})
"""From a Task to what is part of it alone: nobody else's rows touch that node."""

LABELS = tuple(label.value for label in Label)
EDGE_TYPES = tuple(edge_type.value for edge_type in EdgeType)

MAX_EDGES_PER_NODE = 20
"""A neighbourhood of n nodes is given with at most n times as many edges: pages may all link to each other."""

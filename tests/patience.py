"""For how long tests wait."""

PATIENCE_S = 60.0
"""For what should come at once. Where it comes, a long deadline costs nothing; a short one fails a test because the
machine does other things too. Below pytest's own limit, so that a test says what it waited for."""

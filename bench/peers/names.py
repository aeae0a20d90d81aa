"""What the programs of both environments have to agree on."""

COLLECTION = "naive"

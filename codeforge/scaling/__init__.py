"""How many pods the workers need, and which of them are to be spared."""

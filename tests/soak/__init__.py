"""The soak: a whole stack under a steady load, watched from outside."""

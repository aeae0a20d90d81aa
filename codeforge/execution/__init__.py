"""Running tasks: one attempt (`attempt`), what the agent sees of the service (`context`), and the worker process that
claims, cancels and drains (`runtime`)."""

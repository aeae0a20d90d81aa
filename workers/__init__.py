"""The agents, and the Celery entry point that runs them. Nothing in `codeforge/` imports this package."""

"""Celery applications that the contract tests run in workers of their own."""

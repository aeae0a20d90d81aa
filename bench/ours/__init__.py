"""This service with an agent whose work is known."""

"""The pure functions behind the projector."""

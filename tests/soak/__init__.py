"""The soak: a real stack under steady load for a long time, killed now and then, watched by a real Prometheus."""

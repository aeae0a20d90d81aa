"""Images, Compose and Kubernetes, checked without any of the three."""

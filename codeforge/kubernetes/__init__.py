"""The part of Kubernetes' API that the project asks."""

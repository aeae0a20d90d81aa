"""The capacity simulator: replays KEDA, the HPA and the scheduler over a trace of arrivals, from rendered manifests."""

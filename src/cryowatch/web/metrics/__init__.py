"""What `/metrics` tells Prometheus."""

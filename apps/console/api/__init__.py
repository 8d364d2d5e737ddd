"""Endpoints about the process itself: readiness, metrics."""

"""The service that turns a completed series into volumes."""

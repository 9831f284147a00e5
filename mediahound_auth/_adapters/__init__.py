"""What the adapters for requests, httpx and httpx2 share."""

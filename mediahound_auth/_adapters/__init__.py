"""The code that the adapters for requests, httpx and httpx2 share."""

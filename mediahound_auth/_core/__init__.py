"""The core that all adapters share: it decides when a token is used and renewed."""

"""The core that all HTTP libraries share: when a token is used and renewed. No HTTP library."""

"""The local platform: everything that exists only so that the project runs without a Google Cloud account."""

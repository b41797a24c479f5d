"""The embedded stack: an AWS endpoint, an OpenSearch node, a sample stream. Real parts, no Docker."""

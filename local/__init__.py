"""The embedded stack: AWS endpoint, OpenSearch node, sample stream. Real parts, no Docker."""

"""The live view: one page over OpenSearch."""

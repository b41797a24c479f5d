"""The pipeline, its checkpoint and snapshots, the KCL adapter, the supervisor, the command line."""

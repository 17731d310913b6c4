"""The edge to other daemons. A node of one process needs none: what its machines tell each other stays in the engine."""

"""Who peers with whom: a user's network, planned. Pure: no sockets, no clock, no files, no randomness of its own."""

"""The edge to the grid database (BCDB): its documents, identities and signatures, a client and a server.

Imports no other room of this project. The interface is that of Zero-OS v0.2: JSON over HTTP.
"""

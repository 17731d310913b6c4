"""Answers the questions for names of users' networks, by dnspython: who has a name in a mesh, and what is outside.

Imports the kernel's sockets and no other room. The node makes a server of it for each network resource.
"""

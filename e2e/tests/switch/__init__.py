"""Every kind of change of a running homeserver, while people use it.

Who restarts, together or in turn; that no two epochs and no two processes of one name are ever at
work; and that nobody's message is lost or doubled.
"""

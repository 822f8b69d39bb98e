"""The server's side of a connection: how large a head, how slow a body, how many connections, how long a silence."""

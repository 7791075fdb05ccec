"""The sockets: commands in and answers out over ROUTER, events out over PUB."""

"""What daemon and gateway of one machine say to each other over a UNIX socket.

`messages.py` is the language, `frames.py` the framing without I/O, `server.py` the daemon's side (trio),
`client.py` the gateway's (asyncio), `ask.py` a single blocking question for the command line.
"""

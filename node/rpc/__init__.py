"""The gateway: JSON-RPC, WebSocket and health over HTTP, in a process beside the daemon.

Start at `server.py` (HTTP), `dispatch.py` (JSON-RPC without I/O) or `methods/` (what can be asked).
"""

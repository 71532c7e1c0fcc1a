"""The methods of the gateway, one module a group; `table.py` joins them in one tuple."""

"""The commands of `coopd`, for those who run nodes and try them. Which node is meant: `place.py`."""

"""The contract of manifestd: values and pure functions, shared by both ends of the wire."""

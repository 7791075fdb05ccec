"""The journal: what makes an event durable."""

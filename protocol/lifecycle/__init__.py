"""Lifecycles: statecharts with permissions, read from files, named `id@version`."""

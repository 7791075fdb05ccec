"""The statechart kernel: definitions as data, compiled to tables, stepped by a pure function."""

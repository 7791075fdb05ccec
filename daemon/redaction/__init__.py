"""Personal data leaves the files of a store, after an event that says so became durable."""

"""The archive: each manifest's own folder, written behind the journal."""

"""A small document library: the demo of async_uploads, meant to be read and copied from."""

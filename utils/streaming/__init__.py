"""Long responses: server-sent events and downloads."""

"""Where the store's contents go besides the pages: InfluxDB."""

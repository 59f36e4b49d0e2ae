"""Everything that speaks InfluxDB: layouts, points, delivery, the server's client and its set-up."""

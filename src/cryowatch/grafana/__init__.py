"""The dashboards into a Grafana: as files to import, as a folder to provision from, or over its HTTP API."""

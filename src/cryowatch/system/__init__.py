"""The machine under cryowatch: its services, logs, certificates, files that people may reach, and what may hang."""

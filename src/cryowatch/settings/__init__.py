"""What people may set: from files, the environment, the command line and a `secrets.cfg`.  Nothing acts here."""

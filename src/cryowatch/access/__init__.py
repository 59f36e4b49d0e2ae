"""Who may see what: accounts, logins, share links, in small files of mode 0600 beside the store.

They are not in the store, which is moved aside where it is damaged.
"""

"""Telling people of alerts: by mail, by webhooks, and by what Apprise knows.

`pending` finds what is to be told, `pace` says when, `message` what; `html` and `chat` write that for those who read
it; `mail`, `webhook` and `apprise` carry it; `notifier` follows the store for one of them.
"""

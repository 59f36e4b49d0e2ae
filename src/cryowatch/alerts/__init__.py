"""Alerts: rules, what they find in the store, and when they are raised and over."""

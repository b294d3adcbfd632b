"""Renders rows as text for a terminal or a pipe; nothing here prints.

Names and spoken words are untrusted: all of them pass through `plain` or `as_json`, which remove
control characters.
"""

"""What was read, as text for a terminal or a pipe; nothing here prints.

Names and what people said come from outside: all of it passes through `plain` or `as_json`, which
let no control character through.
"""

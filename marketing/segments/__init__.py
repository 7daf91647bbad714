"""The language of segment rules: what may be said (`language`, `fields`), reading it (`parsing`), publishing it (`schema`),
putting it into words (`wording`) and into SQL (`compiling`), and which events can change its answer (`facts`). It writes nothing.

See docs/adr/0026-segment-rules.md.
"""

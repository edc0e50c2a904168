"""Pure core: sound in, facts out. No clock, no files, no network, no threads.

`hearing` (what was heard), `clock` (when) and `trust` (whom to believe) do not know each other; all
three speak in `records`, and everything rests on `audio` and `units`.
"""

"""The operator's side: commands out, replies in, and whose word counts as a reply."""

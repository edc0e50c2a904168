"""Pure core: sound in, facts out. No clock, no files, no network, no threads."""

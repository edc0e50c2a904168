"""One file per device or service. Adapters implement the ports and never import each other."""

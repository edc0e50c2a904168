"""The reference registrar: a small authority that makes nodes known, and revokes them."""

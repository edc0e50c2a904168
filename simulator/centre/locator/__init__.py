"""Reference locator: verify, associate, solve, publish, receipt."""

"""Commands that measure; none belongs to the installed packages."""

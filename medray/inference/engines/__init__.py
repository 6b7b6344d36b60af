"""One file per engine; `fake` ships for tests and users alike."""

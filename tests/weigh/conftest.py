"""The losses are imported by the tests of their framework, which may not be installed."""

collect_ignore_glob = ["losses/*"]

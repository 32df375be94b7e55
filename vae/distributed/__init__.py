"""Distributed training: strategies, and the cluster that a process belongs to."""

"""Processes that are killed (SIGKILL), at each step and at random: what a sweep makes of what they leave."""

"""Async-native file uploads for Django: straight to storage, shown live, promoted on save."""

__version__ = "0.1.0"

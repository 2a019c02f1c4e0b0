"""alliance-platform-storage."""

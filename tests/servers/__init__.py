"""The real servers that the storages are tested against: SeaweedFS for S3, Azurite for Azure."""

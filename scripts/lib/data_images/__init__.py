"""Container images that hold a network's files: registries, Docker engines, archives."""

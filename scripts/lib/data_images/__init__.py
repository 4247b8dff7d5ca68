"""Read and make container images that contain a network's files: registries, Docker engines, archives."""

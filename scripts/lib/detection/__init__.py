"""Detection in media: options, frames, network, results."""

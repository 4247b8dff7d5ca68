"""What coded pictures say of themselves, codec by codec: place, time, size, and whether something is missing."""

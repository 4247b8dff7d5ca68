"""Read a media's file as numbered frames, with a record of damage."""

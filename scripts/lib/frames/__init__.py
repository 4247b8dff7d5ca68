"""From a media's file to numbered frames, with a record of damage."""

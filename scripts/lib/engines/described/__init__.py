"""Networks whose family has a description: their input and outputs, for every engine."""

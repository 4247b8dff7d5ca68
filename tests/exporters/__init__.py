"""Networks as their own exporters write them, held against their own predictors: `make test-exporters`."""

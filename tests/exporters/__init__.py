"""Networks written by their exporters, compared with the predictors of their packages: `make test-exporters`."""

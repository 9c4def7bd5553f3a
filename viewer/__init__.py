"""A local OTLP backend: takes spans over OTLP/gRPC, keeps the newest traces, shows them."""

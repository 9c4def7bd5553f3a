"""A local OTLP backend: takes spans over OTLP/gRPC and OTLP/HTTP, keeps the newest traces, shows them."""

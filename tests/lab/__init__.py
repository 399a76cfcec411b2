"""The lab: a small world of network namespaces for end-to-end tests, benchmarks and the demo. See README.md here."""

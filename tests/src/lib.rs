//! The sample site, the workload and the conformance suites.

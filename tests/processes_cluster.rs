//! Whole processes of a cluster.

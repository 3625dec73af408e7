//! Arguments to one of `run`, `check`, `demo`.
fn main() {}

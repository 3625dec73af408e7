//! What an operator touches.

pub mod machine;

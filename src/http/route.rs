//! Conditions on a request.

/// One `route.N`: all conditions that are given must hold, a list means any of.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// N.
    pub name: String,
}

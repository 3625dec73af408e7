//! Servers by the names that operators use, `POOL/SERVER`.
//!
//! Owns what is wrong with such a name, in HAProxy's words; where it is asked, and what is done then, is others'.

use crate::config::Config;
use crate::limits::{BackendId, PoolId};

/// Why a name is nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// It is not of this form.
    Form,
    /// There is no such pool.
    Pool,
    /// The pool has no such server.
    Server,
}

impl Unknown {
    /// HAProxy's words, as a line.
    pub(super) fn line(self) -> &'static str {
        match self {
            Self::Form => "Require 'backend/server'.\n",
            Self::Pool => "No such backend.\n",
            Self::Server => "No such server.\n",
        }
    }

    /// The same without the line's end.
    pub(super) fn words(self) -> &'static str {
        self.line().trim_end()
    }
}

/// The pool of this name.
pub(super) fn pool(config: &Config, name: &str) -> Option<PoolId> {
    config.pools().find(|(_, pool)| pool.name == name).map(|(id, _)| id)
}

/// The server of this name in a pool.
pub(super) fn member(config: &Config, pool: PoolId, name: &str) -> Option<BackendId> {
    config.pools[pool.index()].backends.iter().copied().find(|id| config.backends[id.index()].name == name)
}

/// The pool, and the name in it, that `word` is.
///
/// # Errors
/// [`Unknown::Form`] and [`Unknown::Pool`].
pub(super) fn pair<'w>(config: &Config, word: Option<&&'w str>) -> Result<(PoolId, &'w str), Unknown> {
    let (in_pool, name) = word
        .and_then(|word| word.split_once('/'))
        .filter(|pair| !pair.0.is_empty() && !pair.1.is_empty())
        .ok_or(Unknown::Form)?;
    Ok((pool(config, in_pool).ok_or(Unknown::Pool)?, name))
}

/// The server that `word` is.
///
/// # Errors
/// Why it is none.
pub(super) fn server(config: &Config, word: Option<&&str>) -> Result<BackendId, Unknown> {
    let (pool, name) = pair(config, word)?;
    member(config, pool, name).ok_or(Unknown::Server)
}

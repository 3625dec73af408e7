//! The shop's page: which server made it, and what it had to do to know the customer.

use super::shop::Stats;
use std::fmt;

/// Where the session came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Nowhere: the customer is new.
    New,
    /// This server's cache.
    Cache,
    /// The database: this server did not know the session.
    Database,
}

/// One page. [`fmt::Display`] renders it.
pub(super) struct Page<'a> {
    pub server: &'a str,
    /// Letters and digits only.
    pub session: &'a str,
    pub source: Source,
    pub stats: Stats,
}

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, session, source, stats } = self;
        let Stats { hits, misses } = stats;
        let (class, from) = match source {
            Source::New => ("new", "it is new"),
            Source::Cache => ("hit", "from this server's cache"),
            Source::Database => ("miss", "from the database, which is slow: this server did not know it"),
        };
        write!(
            f,
            r#"<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,">
<title>The bee shop: {server}</title>
<style>
body {{ font: 1.1em/1.5 system-ui, sans-serif; max-width: 34em; margin: 2em auto; padding: 0 1em; background: #fffbea; color: #332b00 }}
h1 {{ color: #b27a00 }}
dl {{ display: grid; grid-template-columns: 7em 1fr; background: #fff; border-radius: 8px; padding: 1em; box-shadow: 0 1px 4px #0003 }}
dt {{ color: #776 }} dd {{ margin: 0 }}
.hit {{ color: #176b1b }} .miss {{ color: #b3261e }}
</style>
<h1>The bee shop</h1>
<p>Lime honey 6.50 · forest honey 7.20 · beeswax candles 4.00 · <a href="/checkout">checkout</a></p>
<dl>
<dt>Server</dt><dd><b>{server}</b></dd>
<dt>Session</dt><dd><code>{session}</code></dd>
<dt></dt><dd class="{class}">{from}</dd>
<dt>Its cache</dt><dd>{hits} hits, {misses} misses</dd>
</dl>
<p><a href="">Once more</a></p>
</html>
"#
        )
    }
}

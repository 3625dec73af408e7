//! The dashboard: three files that the binary carries compressed, as `scripts/page` makes them.
//!
//! What may run and be loaded is what comes from here: no script of a stranger's, no request to anywhere else.

/// A file of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct File {
    path: &'static str,
    pub media_type: &'static str,
    /// In gzip, which every browser takes.
    pub bytes: &'static [u8],
}

static FILES: [File; 3] = [
    File { path: "/", media_type: "text/html; charset=utf-8", bytes: include_bytes!("page/page.html.gz") },
    File { path: "/page.css", media_type: "text/css; charset=utf-8", bytes: include_bytes!("page/page.css.gz") },
    File { path: "/page.js", media_type: "text/javascript; charset=utf-8", bytes: include_bytes!("page/page.js.gz") },
];

/// What the page may do.
pub(super) const POLICY: &[u8] = b"Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
    Cross-Origin-Opener-Policy: same-origin\r\n";

/// The file at `path`.
pub(super) fn file(path: &[u8]) -> Option<&'static File> {
    FILES.iter().find(|file| file.path.as_bytes() == path)
}
